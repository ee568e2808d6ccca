"""From a job file and flags to a job, checked in full before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from controller.conversion import absent_files, job_from
from controller.emr_file import job_file_of
from controller.item_files import items_of, lines_of
from controller.items import Items, listed
from controller.jobfile import ArraySection
from controller.layers import Label, Layers, flag, laid_over
from runner.array import Array
from runner.arrays import format_indices
from runner.errors import BadInput, Place
from runner.model import Job
from runner.ports import Clock, Manifests
from runner.validation import existing, refusal, validated
from runner.wording import Loc, shown

MAX_JOB = 200 * 1024


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A job that is right in itself but not submitted: no id, no time, items not stored.

    Its `after` still holds selectors. `layers` knows where each value came from.
    """

    job: Job
    items: Items | None
    layers: Layers = field(repr=False, compare=False)

    @property
    def after(self) -> tuple[str, ...]:
        """Selectors of the jobs it comes after."""
        return self.job.after

    def place(self, *loc: str | int) -> Place:
        """Where a value stands: file and line, or the flag."""
        return self.layers.place(existing(self.layers.data, loc))


def draft_from(
    file: Path | None, overrides: Mapping[str, object], *, cwd: Path | None = None, label: Label = flag
) -> JobDraft:
    """The job file with `overrides` laid over it, checked; lines and items are read once, whole.

    Keys of `overrides` are the job file's, and `each_line`, `items` (a path or a list), `allow_duplicates`.
    None is not given. `env` and `secrets` may be lists of NAME=VALUE. `label` says what an override is called
    in errors: `layers.flag` or `layers.argument`.
    Raises BadInput.
    """
    layers = laid_over(file, overrides, cwd or Path.cwd(), label)
    model = validated(job_file_of(layers.data), layers.data, layers.place)
    array, items = _array(model.array, layers)
    job = job_from(model, array, layers)
    if problems := list(absent_files(job)):
        raise refusal([(existing(layers.data, loc), problem) for loc, problem in problems], layers.place)
    _check_size(job, layers)
    return JobDraft(job, items, layers)


async def to_job(
    draft: JobDraft,
    *,
    id: str,  # noqa: A002  # the field's name
    now: Clock,
    manifests: Manifests,
    after: tuple[str, ...],
    user: str = "",
) -> Job:
    """Store the items and make the job. `after`: the ids its selectors stand for."""
    array = draft.job.array
    if draft.items is not None:
        array = replace(array, manifest=await manifests.put(draft.items.content()))
    return replace(draft.job, id=id, created_at=now(), user=user, after=after, array=array)


def _array(section: ArraySection | None, layers: Layers) -> tuple[Array, Items | None]:
    if section is None:
        return Array.of_size(1), None
    items = _items(section, layers)
    whole = section.indices or Array.of_size(items.count if items else 1)
    if section.only is None:
        return whole, items
    known = whole.spans[0] if len(whole.spans) == 1 else set(whole)
    if (
        outside := next((index for span in section.only for index in span if index not in known), None)
    ) is not None:
        problem = f"index {outside} is not in the array; allowed: {shown(format_indices(whole.spans))}"
        raise BadInput(problem, layers.place(("array", "only")))
    return Array(section.only, whole.total), items


def _items(section: ArraySection, layers: Layers) -> Items | None:
    duplicates = section.allow_duplicates
    for key, path, read in (("lines", section.lines, lines_of), ("items_file", section.items_file, items_of)):
        if path is not None:
            loc: Loc = ("array", key)
            return read(path, layers.base(loc), layers.place(loc), allow_duplicates=duplicates)
    if section.items is None:
        return None

    def place(at: int | None) -> Place:
        return layers.place(("array", "items") if at is None else ("array", "items", at))

    return listed(section.items, place, allow_duplicates=duplicates)


def _check_size(job: Job, layers: Layers) -> None:
    size = len(json.dumps(asdict(job), default=_spread, ensure_ascii=False).encode())
    if size > MAX_JOB:
        problem = f"payload too large: the job is {size:,} bytes; at most {MAX_JOB:,}"
        raise BadInput(problem, Place(layers.document.file if layers.document else None))


def _spread(value: object) -> object:
    return [value.start, value.stop, value.step] if isinstance(value, range) else list(value)  # type: ignore[call-overload]
