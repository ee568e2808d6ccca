"""What a registry wants to see before it gives an image: the `docker` command's own credentials.

Read anew for every pull, since a token grows old. From ~/.docker/config.json: `auths`, and the helper
programs of `credHelpers` and `credsStore`, which are asked as the `docker` command asks them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from pathlib import Path
from typing import Any

HUB = "https://index.docker.io/v1/"
HELPER_SECONDS = 15.0


def registry_of(image: str) -> str:
    """The registry's name, as the `docker` command files its credentials under it."""
    first, slash, _ = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return HUB if not named or first in ("docker.io", "index.docker.io") else first


async def authorization(image: str, settings: Path) -> str | None:
    """The value of the X-Registry-Auth header for pulling `image`; None if there are no credentials for it."""
    config = _read(settings)
    registry = registry_of(image)
    helper = (config.get("credHelpers") or {}).get(registry)
    login = await _ask(helper, registry) if isinstance(helper, str) else None
    login = login or _stored(config.get("auths") or {}, registry)
    store = config.get("credsStore")
    if login is None and isinstance(store, str):
        login = await _ask(store, registry)
    if login is None:
        return None
    content = json.dumps({**login, "serveraddress": registry})
    return base64.urlsafe_b64encode(content.encode()).decode()


def has_helper(image: str, settings: Path) -> bool:
    """Whether a program is to be asked for the registry's credentials, which it may have another time: one that fails
    says the same as one that has none."""
    config = _read(settings)
    helper = (config.get("credHelpers") or {}).get(registry_of(image))
    return isinstance(helper, str) or isinstance(config.get("credsStore"), str)


def _stored(auths: dict[str, Any], registry: str) -> dict[str, str] | None:
    keys = (registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")
    entry = next((auths[key] for key in keys if isinstance(auths.get(key), dict)), None)
    if entry is None:
        return None
    if entry.get("identitytoken"):
        return {"identitytoken": str(entry["identitytoken"])}
    try:
        user, colon, password = base64.b64decode(str(entry.get("auth", ""))).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"username": user, "password": password.rstrip("\0")} if colon else None


async def _ask(helper: str, registry: str) -> dict[str, str] | None:
    """A helper that is missing, slow or has nothing to say is as good as none: the registry then says what
    it lacks.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        reply, _ = await asyncio.wait_for(process.communicate(registry.encode()), HELPER_SECONDS)
        login = json.loads(reply)
        user, secret = str(login["Username"]), str(login["Secret"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        return None
    finally:
        if process.returncode is None:
            process.kill()
    return {"identitytoken": secret} if user == "<token>" else {"username": user, "password": secret}


def _read(settings: Path) -> dict[str, Any]:
    try:
        content = json.loads((settings / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
