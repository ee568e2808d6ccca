"""What a submission would run, without any of it being written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.draft import JobDraft
from controller.emr_file import WITHOUT_EFFECT, emr_keys
from controller.item_files import STANDARD_INPUT
from controller.items import Items, Listed
from runner.documents import resolved
from runner.model import Mount, Retry, Rule, Secret, Sidecar
from runner.units import format_duration, format_size, parse_size

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Shard:
    index: int
    item: str | None


async def shards(draft: JobDraft) -> list[Shard]:
    """The first and the last few."""
    array = draft.job.array
    tail = max(SHOWN, array.size - SHOWN)
    indices = [*array.window(0, SHOWN), *array.window(tail, SHOWN)]
    items = await _items_at(draft.items, set(indices)) if draft.items else {}
    return [Shard(index, items.get(index)) for index in indices]


async def _items_at(items: Items, indices: Collection[int]) -> Mapping[int, str]:
    if isinstance(items, Listed):
        return {index: items.texts[index] for index in indices}
    found, position = {}, 0
    async for item in items.content():
        if position in indices:
            found[position] = item
        position += 1
    return found


def job_keys(draft: JobDraft) -> dict[str, object]:
    """The job with all its keys, as a job file that means the same has them."""
    job, limits = draft.job, draft.job.limits
    keys: dict[str, object] = {
        "name": job.name,
        "image": job.image,
        "command": list(job.command),
        "array": _array(draft),
        "env": dict(job.env),
        "vcpus": limits.vcpus,
        "memory": _exactly(limits.memory),
        "timeout": None if limits.timeout is None else format_duration(limits.timeout),
        "grace": format_duration(limits.grace),
        "pids": limits.pids,
        "queue": job.queue,
        "backend": job.backend or None,
        "after": list(job.after),
        "max_parallel": job.max_parallel,
        "retries": _retries(job.retry),
        "mounts": [_mount(mount) for mount in job.mounts],
        "secrets": {secret.name: _secret(secret) for secret in job.secrets},
        "sidecars": [_sidecar(sidecar) for sidecar in job.sidecars],
        "role": job.role,
        "idempotency_key": job.idempotency_key,
    }
    if job.emr is None:
        return keys
    left = {key: value for key, value in keys.items() if key not in WITHOUT_EFFECT}
    return {**left, "emr": emr_keys(job.emr)}


def _array(draft: JobDraft) -> object:
    """As it was given: what it was made of cannot be told from the indices alone."""
    given = draft.layers.data.get("array")
    if not isinstance(given, Mapping):
        return given
    return {key: _found(draft, key, value) for key, value in given.items()}


def _found(draft: JobDraft, key: str, value: object) -> object:
    """A file's path so that it is found from anywhere."""
    if key not in ("lines", "items_file") or value == STANDARD_INPUT:
        return value
    return str(resolved(draft.layers.base(("array", key)), str(value)))


def _exactly(size: int) -> str:
    text = format_size(size)
    return text if parse_size(text) == size else f"{size}B"


def _retries(retry: Retry) -> dict[str, object]:
    return {
        "count": retry.retries,
        "infra": retry.infra_retries,
        "backoff": format_duration(retry.backoff),
        "backoff_factor": retry.backoff_factor,
        "max_backoff": format_duration(retry.max_backoff),
        "max_memory": None if retry.max_memory is None else _exactly(retry.max_memory),
        "rules": [_rule(rule) for rule in retry.rules],
    }


def _rule(rule: Rule) -> dict[str, object]:
    codes = [str(low) if low == high else f"{low}-{high}" for low, high in rule.exit_codes]
    return {
        "on": sorted(str(kind) for kind in rule.kinds),
        "exit_code": codes,
        "then": "retry" if rule.retry else "fail",
        "memory": f"x{rule.memory_factor:g}",
    }


def _mount(mount: Mount) -> dict[str, object]:
    return {"source": mount.source, "target": mount.target, "writable": mount.writable}


def _secret(secret: Secret) -> dict[str, str]:
    return {secret.source: secret.reference}


def _sidecar(sidecar: Sidecar) -> dict[str, object]:
    return {
        "name": sidecar.name,
        "image": sidecar.image,
        "command": list(sidecar.command),
        "env": dict(sidecar.env),
        "memory": _exactly(sidecar.memory),
    }
