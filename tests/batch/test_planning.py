"""Submissions: what goes together, what is read back, what AWS Batch can do without help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters.batch.planning import OVERRIDES, payload, portions
from controller.adapters.batch.requests import overrides
from controller.adapters.batch.strategy import retry_strategy, timeout
from controller.adapters.batch.submissions import Lot, Submission, name_of, name_prefix, submission_in
from runner.array import Array
from runner.arrays import parse_indices
from runner.model import Job, Kind, Limits, Retry, Rule

LOT = Lot(0, 0, 512 * 1024**2)
INDICES = st.sets(st.integers(0, 999_999_999), min_size=1, max_size=3000)


def a_job(array: Array, **changes: object) -> Job:
    return Job("job", "name", ("x",), array, image="image", **changes)  # type: ignore[arg-type]


@given(INDICES)
def test_portions_hold_every_index_once_and_in_order(chosen: set[int]) -> None:
    indices = sorted(chosen)
    assert [index for portion in portions(indices, 20_000) for index in portion] == indices


@given(INDICES)
def test_a_portions_tasks_are_told_no_more_than_amazon_ecs_takes(chosen: set[int]) -> None:
    job = a_job(Array.of_size(1_000_000))
    room = OVERRIDES - payload(overrides(job, Submission("job", 1, LOT, (0,))))
    for portion in portions(sorted(chosen), room):
        assert payload(overrides(job, Submission("job", 1, LOT, portion))) <= OVERRIDES


@given(st.lists(st.text(max_size=4000), min_size=1, max_size=40))
def test_nor_are_those_with_items(texts: list[str]) -> None:
    items = dict(enumerate(texts))
    job = a_job(Array.of_size(len(texts), "manifest"))
    room = OVERRIDES - payload(overrides(job, Submission("job", 1, LOT, (0,))))
    for portion in portions(sorted(items), room, items):
        given = overrides(job, Submission("job", 1, LOT, portion), items)
        assert len(portion) == 1 or payload(given) <= OVERRIDES


def test_an_array_of_more_than_ten_thousand_is_split() -> None:
    found = list(portions(range(25_000), 20_000))
    assert [len(portion) for portion in found] == [10_000, 10_000, 5_000]


@given(INDICES, st.integers(1, 9), st.integers(0, 99), st.integers(0, 9))
def test_a_submission_is_read_back_from_the_batch_job_as_it_was(
    chosen: set[int], round_: int, after: int, tries: int
) -> None:
    submission = Submission("job", round_, Lot(after, tries, 7, 1, 2), tuple(sorted(chosen)))
    assert submission_in({"parameters": submission.parameters()}) == submission


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"runner_job": "a"},
        {"runner_job": "a", "runner_numbers": "x", "runner_shards": "1"},
        {"runner_job": "a", "runner_numbers": "1 2 3", "runner_shards": "1"},
        {"runner_job": "a", "runner_numbers": "1 0 0 5 0 0", "runner_shards": "../x"},
    ],
)
def test_a_strangers_job_is_none_of_ours(parameters: object) -> None:
    assert submission_in({"parameters": parameters}) is None


@given(INDICES)
def test_the_shards_are_written_as_the_project_writes_indices(chosen: set[int]) -> None:
    submission = Submission("job", 1, LOT, tuple(sorted(chosen)))
    assert [index for span in parse_indices(submission.shards) for index in span] == sorted(chosen)


@pytest.mark.parametrize(
    ("array", "indices", "tries", "native"),
    [
        (Array.of_size(2), range(2), 0, True),
        (Array.of_size(10_000), range(10_000), 0, True),
        (Array.of_size(1), range(1), 0, False),
        (Array.of_size(10_001), range(10_000), 0, False),
        (Array((range(5, 9),), 4), range(5, 9), 0, False),
        (Array((range(3),), 9), range(3), 0, False),
        (Array.of_size(5), range(3), 0, False),
        (Array.of_size(5), range(5), 1, False),
        (Array.of_size(5, "manifest"), range(5), 0, False),
    ],
)
def test_only_a_whole_range_from_0_runs_without_help(
    array: Array, indices: range, tries: int, native: bool
) -> None:
    submission = Submission("job", 1, Lot(0, tries, 1), tuple(indices))
    assert submission.native(a_job(array)) is native


def test_names_begin_with_installation_and_job() -> None:
    assert name_of("inst", Submission("abc", 2, LOT, (5, 9))) == "inst-abc-2-5"


def test_a_job_id_that_is_no_name_there_has_a_digest_in_its_place() -> None:
    prefix = name_prefix("inst", "a.b" * 40)
    assert prefix.replace("-", "").isalnum()
    assert len(prefix) < 64


def strategy(lot: Lot = LOT, **retry: object) -> dict[str, object]:
    return retry_strategy(a_job(Array.of_size(2), retry=Retry(**retry)), lot)  # type: ignore[arg-type]


def test_what_lost_its_host_is_tried_again_by_aws_batch() -> None:
    found = strategy(infra_retries=3)
    assert found["attempts"] == 4
    assert found["evaluateOnExit"] == [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ]


def test_no_more_often_than_the_job_allows_and_never_more_than_ten_times() -> None:
    assert strategy(infra_retries=50)["attempts"] == 10
    assert strategy(Lot(9, 9, 1, 0, 8), infra_retries=10)["attempts"] == 3
    assert strategy(Lot(9, 9, 1, 0, 12), infra_retries=10)["attempts"] == 1


def test_failures_are_tried_again_by_aws_batch_only_without_pause_and_rules() -> None:
    rule = Rule(False, frozenset({Kind.FAILED}))
    failed = {"onExitCode": "*", "action": "RETRY"}
    assert failed in strategy(retries=2, backoff=0.0)["evaluateOnExit"]  # type: ignore[operator]
    assert failed not in strategy(retries=2, backoff=1.0)["evaluateOnExit"]  # type: ignore[operator]
    assert failed not in strategy(retries=2, backoff=0.0, rules=(rule,))["evaluateOnExit"]  # type: ignore[operator]
    assert failed not in strategy(retries=0, backoff=0.0)["evaluateOnExit"]  # type: ignore[operator]


def test_neither_bound_can_be_passed_by_attempts_of_both_kinds() -> None:
    assert strategy(retries=2, infra_retries=10, backoff=0.0)["attempts"] == 3


@pytest.mark.parametrize(("limit", "seconds"), [(5.0, 60), (60.0, 60), (90.2, 91)])
def test_time_limits_are_whole_seconds_and_at_least_a_minute(limit: float, seconds: int) -> None:
    job = a_job(Array.of_size(2), limits=Limits(timeout=limit))
    assert timeout(job) == {"attemptDurationSeconds": seconds}
