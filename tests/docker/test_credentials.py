"""What a registry is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.docker.credentials import HUB, authorization, registry_of

LOGIN = base64.b64encode(b"me:pass:word").decode()


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", HUB),
        ("busybox:1.36", HUB),
        ("library/busybox", HUB),
        ("docker.io/library/busybox", HUB),
        ("ghcr.io/owner/name:1", "ghcr.io"),
        ("localhost/name", "localhost"),
        ("localhost:5000/name@sha256:00", "localhost:5000"),
        ("1234.dkr.ecr.eu-west-1.amazonaws.com/name", "1234.dkr.ecr.eu-west-1.amazonaws.com"),
    ],
)
def test_the_registry_is_the_first_part_if_it_looks_like_a_host(image: str, registry: str) -> None:
    assert registry_of(image) == registry


async def shown(tmp_path: Path, config: Any, image: str = "ghcr.io/a/b") -> Any:
    (tmp_path / "config.json").write_text(json.dumps(config))
    header = await authorization(image, tmp_path)
    return None if header is None else json.loads(base64.urlsafe_b64decode(header))


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "https://ghcr.io/v2/"])
async def test_stored_credentials_are_shown(tmp_path: Path, key: str) -> None:
    assert await shown(tmp_path, {"auths": {key: {"auth": LOGIN}}}) == {
        "username": "me",
        "password": "pass:word",
        "serveraddress": "ghcr.io",
    }


async def test_docker_hub_has_a_name_of_its_own(tmp_path: Path) -> None:
    config = {"auths": {HUB: {"auth": LOGIN}}}
    assert (await shown(tmp_path, config, "private/image"))["serveraddress"] == HUB


async def test_a_token_is_shown_instead_of_a_password(tmp_path: Path) -> None:
    config = {"auths": {"ghcr.io": {"auth": LOGIN, "identitytoken": "token"}}}
    assert await shown(tmp_path, config) == {"identitytoken": "token", "serveraddress": "ghcr.io"}


@pytest.mark.parametrize(
    "config",
    [
        {},
        [],
        {"auths": {"other.io": {"auth": LOGIN}}},
        {"auths": {"ghcr.io": {}}},
        {"auths": {"ghcr.io": {"auth": "!!"}}},
        {"credHelpers": {"ghcr.io": "that-is-not-installed"}},
        {"credsStore": "that-is-not-installed"},
    ],
)
async def test_without_credentials_for_it_a_registry_is_shown_none(tmp_path: Path, config: Any) -> None:
    assert await shown(tmp_path, config) is None


async def test_credentials_of_one_registry_are_not_shown_to_another(tmp_path: Path) -> None:
    config = {"auths": {"ghcr.io": {"auth": LOGIN}}}
    assert await shown(tmp_path, config, "evil.io/ghcr.io/a") is None
