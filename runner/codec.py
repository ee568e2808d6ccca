"""Messages and records ⇄ JSON text. Every document carries the version it was written in.

Fields that have their default are left out, so a success's record stays small and an older document still
reads after a field was added. Text is pure ASCII: what cannot be encoded in UTF-8 (half a surrogate pair out
of a command line, say) survives as an escape instead of failing in the database driver.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Generic, NamedTuple, TypeVar

from runner.array import Array
from runner.emr import Bootstrap, Emr, InstanceGroup, Step
from runner.model import (
    BACKENDS,
    Charge,
    Job,
    Kind,
    Limits,
    Mount,
    Outcome,
    Retry,
    Rule,
    Secret,
    Sidecar,
    TaskId,
    Usage,
)
from runner.ports import Supervision
from runner.records import HostReport, Note

VERSION = 1
MAX_POINTER = 1024
MAX_INDEX = 2**53

# Job ids become file names, container names and labels further on: this is where foreign ones are stopped.
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

# Who submitted a job is printed, and counted with.
USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")

T = TypeVar("T")
Json = dict[str, Any]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class DecodeError(ValueError):
    """Not a document of this kind, or of a version this program does not know. Says why."""


class Converter(NamedTuple):
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


class Shape(Generic[T]):
    """How one dataclass stands on the wire: an object of its fields, some of them through a converter."""

    def __init__(self, cls: type[T], **converters: Converter) -> None:
        self._cls = cls
        self._fields = [
            (field.name, _default(field), converters.get(field.name, Converter(_same, _same)))
            for field in fields(cls)  # type: ignore[arg-type]
        ]
        self._from_wire = {name: converter.from_wire for name, _, converter in self._fields}

    def pack(self, value: T) -> Json:
        packed: Json = {}
        for name, default, converter in self._fields:
            field = getattr(value, name)
            if field != default:
                packed[name] = converter.to_wire(field)
        return packed

    def unpack(self, data: Json) -> T:
        return self._cls(**{name: self._from_wire[name](value) for name, value in data.items()})


def _user(value: Any) -> str:
    if not (isinstance(value, str) and USER.fullmatch(value)):
        message = f"illegal user: {value!r:.200}"
        raise ValueError(message)
    return value


def _backend(value: Any) -> str:
    if value not in BACKENDS:
        message = f"unknown backend: {value!r:.200}"
        raise ValueError(message)
    return str(value)


def _each(shape: Shape[Any]) -> Converter:
    return Converter(
        lambda values: [shape.pack(value) for value in values],
        lambda values: tuple(shape.unpack(value) for value in values),
    )


def _nested(shape: Shape[Any]) -> Converter:
    return Converter(shape.pack, shape.unpack)


def _pack_array(array: Array) -> Json:
    packed: Json = {"spans": [_pack_span(span) for span in array.spans], "total": array.total}
    return packed if array.manifest is None else {**packed, "manifest": array.manifest}


def _pack_span(span: range) -> list[int]:
    return [span.start, span.stop] if span.step == 1 else [span.start, span.stop, span.step]


def _unpack_array(data: Json) -> Array:
    spans = tuple(range(*span) for span in data["spans"])
    return Array(spans=spans, total=data["total"], manifest=data.get("manifest"))


_MAPPING = Converter(dict, dict)
_STRINGS = Converter(list, tuple)
_PAIRS = Converter(lambda pairs: [list(pair) for pair in pairs], lambda pairs: tuple(map(tuple, pairs)))
_KINDS = Converter(sorted, lambda kinds: frozenset(map(Kind, kinds)))

_RULE = Shape(Rule, kinds=_KINDS, exit_codes=_PAIRS)
_GROUP = _nested(Shape(InstanceGroup))
_EMR = Shape(
    Emr,
    main=_GROUP,
    core=_GROUP,
    task=_GROUP,
    applications=_STRINGS,
    bootstrap=_each(Shape(Bootstrap, args=_STRINGS)),
    steps=_each(Shape(Step, command=_STRINGS, args=_STRINGS)),
)
_JOB = Shape(
    Job,
    command=_STRINGS,
    array=Converter(_pack_array, _unpack_array),
    env=_MAPPING,
    limits=_nested(Shape(Limits)),
    retry=_nested(Shape(Retry, rules=_each(_RULE))),
    after=_STRINGS,
    mounts=_each(Shape(Mount)),
    secrets=_each(Shape(Secret)),
    sidecars=_each(Shape(Sidecar, command=_STRINGS, env=_MAPPING)),
    user=Converter(str, _user),
    backend=Converter(str, _backend),
    emr=_nested(_EMR),
)
_OUTCOME = Shape(
    Outcome,
    kind=Converter(str, Kind),
    charge=Converter(str, Charge),
    usage=_nested(Shape(Usage)),
    tail=_STRINGS,
    metadata=_MAPPING,
)
_REPORT = Shape(HostReport, engines=_STRINGS, queues=_STRINGS)
_NOTE = Shape(Note, demand=_MAPPING, waiting=_MAPPING, reasons=_MAPPING)


def encode_pointer(task: TaskId) -> str:
    """A message's payload. Raises ValueError for a task that `decode_pointer` would not take."""
    if not (JOB_ID.fullmatch(task.job_id) and 0 <= task.index < MAX_INDEX):
        message = f"not a task a message can point to: {str(task)[:200]!r}"
        raise ValueError(message)
    return f'{{"v":{VERSION},"job":"{task.job_id}","index":{task.index}}}'


def decode_pointer(payload: str | bytes) -> TaskId:
    """Raises DecodeError. The payload may be anything: whoever can write to the queue may have written it."""
    if len(payload) > MAX_POINTER:
        message = f"longer than {MAX_POINTER} characters"
        raise DecodeError(message)
    data = _document(payload if isinstance(payload, str) else _text(payload))
    job_id, index = data.get("job"), data.get("index")
    if not (isinstance(job_id, str) and JOB_ID.fullmatch(job_id)):
        message = f"illegal job id: {job_id!r:.200}"
        raise DecodeError(message)
    if type(index) is not int or not 0 <= index < MAX_INDEX:
        message = f"illegal index: {index!r:.200}"
        raise DecodeError(message)
    return TaskId(job_id, index)


def pack_job(job: Job) -> Json:
    return _JOB.pack(job)


def encode_job(job: Job) -> str:
    return _encode({"v": VERSION, **_JOB.pack(job)})


def decode_job(text: str) -> Job:
    """Raises DecodeError."""
    return _decode(_JOB, text)


def encode_outcome(outcome: Outcome) -> str:
    return _encode({"v": VERSION, **_OUTCOME.pack(outcome)})


def decode_outcome(text: str) -> Outcome:
    """Raises DecodeError."""
    return _decode(_OUTCOME, text)


def encode_report(report: HostReport) -> str:
    return _encode({"v": VERSION, **_REPORT.pack(report)})


def decode_report(text: str) -> HostReport:
    """Raises DecodeError."""
    return _decode(_REPORT, text)


def encode_note(note: Note) -> str:
    return _encode({"v": VERSION, **_NOTE.pack(note)})


def decode_note(text: str) -> Note:
    """Raises DecodeError."""
    return _decode(_NOTE, text)


def demand_on(channels: Collection[str], supervision: Supervision) -> int:
    """Tasks on these channels that an idle machine should stay for: those that wait, where the leader tells them from
    those that run elsewhere; of all channels, where it does not tell these apart."""
    try:
        note = decode_note(supervision.note)
    except DecodeError:
        return supervision.demand
    demand = note.demand if note.waiting is None else note.waiting
    return sum(demand.get(channel, 0) for channel in channels)


def encode_metadata(metadata: Mapping[str, str]) -> str:
    return _encode({"v": VERSION, "metadata": dict(metadata)})


def decode_metadata(text: str) -> Mapping[str, str]:
    """Raises DecodeError."""
    metadata = _document(text).get("metadata")
    if not isinstance(metadata, dict):
        message = "no metadata in it"
        raise DecodeError(message)
    return metadata


def _decode(shape: Shape[T], text: str) -> T:
    data = _document(text)
    del data["v"]
    try:
        return shape.unpack(data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        message = f"not as expected: {type(error).__name__}: {error}"
        raise DecodeError(message) from error


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"not text in UTF-8: {error}"
        raise DecodeError(message) from error


def _document(text: str) -> Json:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise DecodeError(message) from error
    if not isinstance(data, dict):
        message = f"not a JSON object but {type(data).__name__}"
        raise DecodeError(message)
    version = data.get("v")
    if version != VERSION:
        message = f"version {version!r:.50}, and this program knows {VERSION}"
        raise DecodeError(message)
    return data
