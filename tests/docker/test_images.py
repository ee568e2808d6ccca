"""Images are pulled once, with credentials, and again after what may pass."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from runner.adapters.docker import images as module
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError
from runner.adapters.docker.images import TRIES, Images
from runner.errors import EngineUnavailable, ImageError
from tests.docker.registry import Registry, registry
from tests.engines.helpers import run
from tests.engines.rigs import Bench

pytestmark = pytest.mark.docker


@pytest.fixture
async def served(api: Api) -> AsyncIterator[Registry]:
    async with registry() as made:
        yield made
        repository = made.image.rpartition(":")[0]
        for name in (made.image, f"{repository}@{made.digest}"):
            with suppress(ApiError):
                await api.client.call("DELETE", f"images/{name}", query={"force": 1})


@pytest.fixture
def images(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    return Images(api, tmp_path)


async def test_an_image_that_is_not_here_is_pulled_and_runs(bench: Bench, served: Registry) -> None:
    ended, output = await run(bench, "echo pulled", image=served.image)
    assert output.data == b"pulled\n"
    repository = served.image.rpartition(":")[0]
    assert ended.image_digest == f"{repository}@{served.digest}"


async def test_many_who_need_it_pull_it_once(images: Images, served: Registry) -> None:
    served.pause = 0.2
    got = await asyncio.gather(*(images.ensure(served.image) for _ in range(20)))
    assert len(set(got)) == 1
    assert served.pulls == 1


async def test_an_image_that_is_here_is_not_pulled(images: Images, api: Api, served: Registry) -> None:
    await images.ensure(served.image)
    await Images(api, Path("none")).ensure(served.image)
    assert served.pulls == 1


async def test_who_stops_waiting_does_not_stop_the_pull_for_others(images: Images, served: Registry) -> None:
    served.pause = 0.3
    first, second = (asyncio.create_task(images.ensure(served.image)) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second).reference.endswith(served.digest)


async def test_an_image_can_be_named_by_its_digest(images: Images, served: Registry) -> None:
    name = f"{served.image.rpartition(':')[0]}@{served.digest}"
    assert (await images.ensure(name)).reference == name


async def test_a_missing_image_is_an_image_error_at_once(images: Images, served: Registry) -> None:
    with pytest.raises(ImageError, match=r"busybox:2.*manifest"):
        await images.ensure(served.image.replace(":1", ":2").replace("127.0.0.:2", "127.0.0.1"))
    assert served.pulls == 0


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_is_an_image_error_and_not_tried_again(
    images: Images, served: Registry, status: int
) -> None:
    served.failures, served.failure = 1000, status
    with pytest.raises(ImageError):
        await images.ensure(served.image)
    assert 1000 - served.failures <= 2  # the engine itself asks twice, with HEAD and GET


async def test_a_registry_that_fails_for_a_while_is_asked_again(images: Images, served: Registry) -> None:
    served.failures = 2
    assert (await images.ensure(served.image)).reference.endswith(served.digest)


async def test_a_registry_that_keeps_failing_makes_the_engine_unavailable(
    images: Images, served: Registry
) -> None:
    served.failures = 1000
    with pytest.raises(EngineUnavailable, match=f"{TRIES} times"):
        await images.ensure(served.image)


async def test_a_registry_that_is_not_there_makes_the_engine_unavailable(images: Images) -> None:
    with pytest.raises(EngineUnavailable, match="could not be pulled"):
        await images.ensure("127.0.0.1:1/nobody/home:1")


async def test_without_credentials_a_private_image_is_an_image_error(
    images: Images, served: Registry
) -> None:
    served.login = ("user", "pass:word")
    with pytest.raises(ImageError):
        await images.ensure(served.image)


async def test_the_docker_commands_credentials_are_used(
    images: Images, served: Registry, tmp_path: Path
) -> None:
    served.login = ("user", "pass:word")
    auth = base64.b64encode(b"user:pass:word").decode()
    config = {"auths": {f"127.0.0.1:{served.port}": {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert (await images.ensure(served.image)).reference.endswith(served.digest)


ASKED = """#!/bin/sh
read host
echo asked >> {asked}
[ "$(wc -l < {asked})" -gt {fails} ] || {{ echo credentials not found in native keychain; exit 1; }}
echo '{{"Username": "user", "Secret": "pass:word"}}'
"""


class Helper:
    """A credential helper that fails so many times before it answers."""

    def __init__(self, folder: Path, fails: int = 0) -> None:
        self._asked = folder / "asked"
        program = folder / "docker-credential-tests"
        program.write_text(ASKED.format(asked=self._asked, fails=fails))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def times(self) -> int:
        return len(self._asked.read_text().splitlines())


@pytest.fixture
def private(images: Images, served: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that wants credentials, which a helper has."""
    served.login = ("user", "pass:word")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = {"credHelpers": {f"127.0.0.1:{served.port}": "tests"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return served


async def test_a_credential_helper_is_asked(images: Images, private: Registry, tmp_path: Path) -> None:
    Helper(tmp_path)
    assert (await images.ensure(private.image)).reference.endswith(private.digest)


async def test_a_credential_helper_that_fails_once_is_asked_again(
    images: Images, private: Registry, tmp_path: Path
) -> None:
    helper = Helper(tmp_path, fails=1)
    assert (await images.ensure(private.image)).reference.endswith(private.digest)
    assert helper.times == 2


async def test_a_credential_helper_that_always_fails_is_not_the_images_fault(
    images: Images, private: Registry, tmp_path: Path
) -> None:
    helper = Helper(tmp_path, fails=1000)
    with pytest.raises(EngineUnavailable, match="the credential helper gave nothing"):
        await images.ensure(private.image)
    assert helper.times == TRIES
