"""What is written is read back; what is foreign is recognised, whatever it is."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import codec
from runner.array import Array
from runner.codec import DecodeError
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
from runner.records import HostReport

# Anything a command line, a log or a file may hold: stray surrogates and control characters too.
ANY_TEXT = st.text(st.characters(), max_size=20)
TEXTS = st.lists(ANY_TEXT, max_size=3).map(tuple)
MAPPINGS = st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3)
FLOATS = st.floats(0, 1e12, allow_nan=False)
COUNTS = st.integers(0, 2**60)
JOB_IDS = st.from_regex(codec.JOB_ID, fullmatch=True)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    spans, start = [], 0
    for length in draw(st.lists(st.integers(1, 10**6), max_size=4)):
        start += draw(st.integers(0, 10))
        step = draw(st.integers(1, 3))
        span = range(start, start + length * step, step)
        spans.append(span)
        start = span.stop + 1
    return Array(tuple(spans), draw(COUNTS), draw(st.none() | ANY_TEXT))


LIMITS = st.builds(Limits, vcpus=FLOATS, memory=COUNTS, timeout=st.none() | FLOATS, grace=FLOATS, pids=COUNTS)
RULES = st.builds(
    Rule,
    retry=st.booleans(),
    kinds=st.frozensets(st.sampled_from(Kind), max_size=3),
    exit_codes=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=2).map(tuple),
    memory_factor=FLOATS,
)
RETRIES = st.builds(
    Retry,
    retries=COUNTS,
    infra_retries=COUNTS,
    backoff=FLOATS,
    backoff_factor=FLOATS,
    max_backoff=FLOATS,
    max_memory=st.none() | COUNTS,
    rules=st.lists(RULES, max_size=2).map(tuple),
)
JOBS = st.builds(
    Job,
    id=JOB_IDS,
    name=ANY_TEXT,
    command=TEXTS,
    array=arrays(),
    image=st.none() | ANY_TEXT,
    env=MAPPINGS,
    limits=LIMITS,
    retry=RETRIES,
    queue=ANY_TEXT,
    after=TEXTS,
    max_parallel=st.none() | COUNTS,
    mounts=st.lists(st.builds(Mount, ANY_TEXT, ANY_TEXT, st.booleans()), max_size=2).map(tuple),
    secrets=st.lists(st.builds(Secret, ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=2).map(tuple),
    sidecars=st.lists(st.builds(Sidecar, ANY_TEXT, ANY_TEXT, TEXTS, MAPPINGS, COUNTS), max_size=2).map(tuple),
    idempotency_key=st.none() | ANY_TEXT,
    created_at=FLOATS,
    user=st.just("") | st.from_regex(codec.USER, fullmatch=True),
    backend=st.sampled_from(("", *BACKENDS)),
)
OUTCOMES = st.builds(
    Outcome,
    kind=st.sampled_from(Kind),
    charge=st.none() | st.sampled_from(Charge),
    exit_code=st.none() | st.integers(-255, 255),
    reason=ANY_TEXT,
    usage=st.builds(Usage, st.none() | COUNTS, st.none() | FLOATS),
    started_at=st.none() | FLOATS,
    finished_at=st.none() | FLOATS,
    image_digest=st.none() | ANY_TEXT,
    warning=ANY_TEXT,
    tail=TEXTS,
    log_bytes=COUNTS,
    log_dropped=COUNTS,
    metadata=MAPPINGS,
)
REPORTS = st.builds(
    HostReport,
    host=ANY_TEXT,
    incarnation=ANY_TEXT,
    state=ANY_TEXT,
    vcpus=FLOATS,
    memory=COUNTS,
    free_vcpus=FLOATS,
    free_memory=COUNTS,
    tasks=COUNTS,
    engines=TEXTS,
    queues=TEXTS,
    pid=COUNTS,
    started_at=FLOATS,
    seen_at=FLOATS,
    note=ANY_TEXT,
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)
DECODERS = [
    codec.decode_pointer,
    codec.decode_job,
    codec.decode_outcome,
    codec.decode_report,
    codec.decode_metadata,
]


@given(JOB_IDS, st.integers(0, codec.MAX_INDEX - 1))
def test_a_pointer_is_read_back(job_id: str, index: int) -> None:
    task = TaskId(job_id, index)
    assert codec.decode_pointer(codec.encode_pointer(task)) == task


@given(JOBS)
def test_a_job_is_read_back(job: Job) -> None:
    assert codec.decode_job(codec.encode_job(job)) == job


@given(OUTCOMES)
def test_an_outcome_is_read_back(outcome: Outcome) -> None:
    assert codec.decode_outcome(codec.encode_outcome(outcome)) == outcome


@given(REPORTS)
def test_a_report_is_read_back(report: HostReport) -> None:
    assert codec.decode_report(codec.encode_report(report)) == report


@given(MAPPINGS)
def test_metadata_is_read_back(metadata: dict[str, str]) -> None:
    assert codec.decode_metadata(codec.encode_metadata(metadata)) == metadata


@given(JOBS, OUTCOMES)
def test_documents_are_plain_ascii_on_one_line(job: Job, outcome: Outcome) -> None:
    for document in (codec.encode_job(job), codec.encode_outcome(outcome)):
        assert document.isascii()
        assert document.isprintable()


@pytest.mark.parametrize("decode", DECODERS)
@given(garbage=ANY_TEXT | ANY_JSON.map(json.dumps))
def test_garbage_is_refused_and_nothing_worse(decode: Any, garbage: str) -> None:
    with pytest.raises(DecodeError):
        decode(garbage)


@pytest.mark.parametrize("decode", DECODERS)
@given(
    body=st.dictionaries(st.sampled_from(["job", "index", "id", "array", "kind", "usage", "tail"]), ANY_JSON)
)
def test_a_document_with_wrong_contents_is_read_or_refused_and_nothing_worse(
    decode: Any, body: dict[str, Any]
) -> None:
    with suppress(DecodeError):
        decode(json.dumps({"v": 1, **body}))


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("version", ["2", "0", '"1"', "null", "1e400", "[1]"])
def test_another_version_is_refused_by_its_number(decode: Any, version: str) -> None:
    with pytest.raises(DecodeError, match="version"):
        decode(f'{{"v":{version},"job":"a","index":0}}')


@pytest.mark.parametrize(
    "job_id",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "a\n",
        "-a",
        ".a",
        "ä",
        "\ud800",
        "a\x00",
        "x" * 129,
        "a#1",
        "$(id)",
    ],
)
def test_a_job_id_that_could_do_harm_further_on_is_refused(job_id: str) -> None:
    with pytest.raises(DecodeError, match="illegal job id"):
        codec.decode_pointer(json.dumps({"v": 1, "job": job_id, "index": 0}))
    with pytest.raises(ValueError, match="not a task"):
        codec.encode_pointer(TaskId(job_id, 0))


@pytest.mark.parametrize("index", [-1, 1.0, True, None, "0", [0], codec.MAX_INDEX])
def test_an_index_that_is_none_is_refused(index: object) -> None:
    with pytest.raises(DecodeError, match="illegal index"):
        codec.decode_pointer(json.dumps({"v": 1, "job": "a", "index": index}))


def test_a_huge_number_is_refused_without_being_computed() -> None:
    with pytest.raises(DecodeError):
        codec.decode_pointer('{"v":1,"job":"a","index":' + "9" * 900 + "}")


def test_a_pointer_of_bytes_is_read_as_utf_8() -> None:
    assert codec.decode_pointer(codec.encode_pointer(TaskId("a", 1)).encode()) == TaskId("a", 1)
    with pytest.raises(DecodeError, match="not text in UTF-8"):
        codec.decode_pointer(b'{"v":1,"job":"\xff","index":0}')


def test_a_huge_payload_is_refused_unread() -> None:
    with pytest.raises(DecodeError, match="longer than"):
        codec.decode_pointer(" " * 2000 + '{"v":1,"job":"a","index":0}')


def test_a_refusals_reason_is_short_whatever_was_refused() -> None:
    with pytest.raises(DecodeError) as refused:
        codec.decode_pointer(json.dumps({"v": 1, "job": "/" * 900, "index": 0}))
    assert len(str(refused.value)) < 300


def test_a_pointer_is_small() -> None:
    assert len(codec.encode_pointer(TaskId("k7mz2p9qwx", 123_456))) < 64


def test_a_success_is_recorded_in_far_less_than_a_kilobyte() -> None:
    outcome = Outcome(
        Kind.SUCCEEDED,
        exit_code=0,
        usage=Usage(2**33, 1234.56789),
        started_at=1_700_000_000.123456,
        finished_at=1_700_000_099.654321,
        image_digest="sha256:" + "a" * 64,
        log_bytes=10**9,
    )
    assert len(codec.encode_outcome(outcome)) < 300


def test_what_has_its_default_is_not_written() -> None:
    job = Job(id="a", name="b", command=(), array=Array.of_size(1))
    written = set(json.loads(codec.encode_job(job)))
    assert written == {"v", "id", "name", "command", "array"}


def test_a_document_is_read_though_it_lacks_a_field_that_was_added_later() -> None:
    assert codec.decode_outcome('{"v":1,"kind":"succeeded"}') == Outcome(Kind.SUCCEEDED)


def test_a_field_nobody_knows_is_refused() -> None:
    with pytest.raises(DecodeError, match="color"):
        codec.decode_outcome('{"v":1,"kind":"succeeded","color":"red"}')


@given(st.text(string.ascii_letters, min_size=1), st.integers(0, 9))
def test_a_million_tasks_are_no_longer_than_ten(name: str, small: int) -> None:
    def size(count: int) -> int:
        return len(codec.encode_job(Job(id="a", name=name, command=(), array=Array.of_size(count))))

    assert size(1_000_000) <= size(small + 1) + 12


@pytest.mark.parametrize("backend", [None, 7, [], "", "elsewhere"])
def test_a_job_of_an_unknown_backend_is_not_read(backend: object) -> None:
    packed = {"v": 1, "id": "a", "name": "a", "command": ["x"], "array": {"spans": [[0, 1]], "total": 1}}
    assert codec.decode_job(json.dumps(packed)).backend == ""
    with pytest.raises(DecodeError, match="unknown backend"):
        codec.decode_job(json.dumps({**packed, "backend": backend}))


@pytest.mark.parametrize("user", [None, 7, [], "", "a b", "\x1b[31m", "x" * 65])
def test_a_job_of_an_illegal_user_is_not_read(user: object) -> None:
    packed = {"v": 1, "id": "a", "name": "a", "command": ["x"], "array": {"spans": [[0, 1]], "total": 1}}
    assert codec.decode_job(json.dumps(packed)).user == ""
    with pytest.raises(DecodeError, match="illegal user"):
        codec.decode_job(json.dumps({**packed, "user": user}))
