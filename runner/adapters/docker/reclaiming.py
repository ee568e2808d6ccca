"""Disk space back from the engine: images that no container, running or not, is made of."""

from __future__ import annotations

import structlog

from runner.adapters.docker import pause
from runner.adapters.docker.api import Api, Details
from runner.adapters.docker.images import Images

log = structlog.get_logger()

# What was asked for within so many seconds is about to be used: between a pull and its container lies some time.
NEEDED = 600.0


async def reclaim_images(api: Api, images: Images) -> None:
    """One by one, so that a pull that is under way is not held up. Raises ApiError, NoAnswerError."""
    freed = removed = 0
    there = await api.images()
    # Asked after them: what is used by now was not there then, or is kept.
    used = {str(container.get("ImageID")) for container in await api.containers({})} | images.needed(NEEDED)
    for image in there:
        if image["Id"] in used or _is_ours(image):
            continue
        # By its names, all of them: by its id the engine removes none that has several.
        done = [await api.remove_image(name) for name in _names(image)]
        if all(done):
            removed, freed = removed + 1, freed + int(image.get("Size") or 0)
    log.warning("removed unused images", images=removed, freed=freed)


def _names(image: Details) -> list[str]:
    tags = [name for name in image.get("RepoTags") or () if name != "<none>:<none>"]
    return tags or [str(image["Id"])]


def _is_ours(image: Details) -> bool:
    """What sandboxes run: a few bytes, and needed for the next one."""
    return any(name.startswith(f"{pause.REPOSITORY}:") for name in image.get("RepoTags") or ())
