"""What an outcome makes of its task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.array import Array
from runner.model import Attempt, Charge, Job, Kind, Outcome, Retry, Rule, Status, TaskId
from runner.retry import CHARGES, backoff, decide

MIB = 1024**2


def a_job(**retry: object) -> Job:
    return Job("j", "n", ("x",), Array.of_size(1), retry=Retry(**retry))  # type: ignore[arg-type]


def an_attempt(user_failures: int = 0, infra_failures: int = 0) -> Attempt:
    return Attempt(TaskId("j", 0), 1, 1, "h#1", 512 * MIB, user_failures, infra_failures)


def test_every_unsuccessful_kind_but_cancelled_is_charged_to_somebody() -> None:
    assert set(CHARGES) == set(Kind) - {Kind.SUCCEEDED, Kind.CANCELLED}


def test_a_success_is_final() -> None:
    assert decide(a_job(retries=5), an_attempt(), Outcome(Kind.SUCCEEDED), 0).status is Status.SUCCEEDED


def test_a_failure_without_retries_left_is_final() -> None:
    verdict = decide(a_job(retries=1), an_attempt(user_failures=1), Outcome(Kind.FAILED, exit_code=1), 0)
    assert verdict.status is Status.FAILED


def test_a_failure_with_a_retry_left_runs_again_after_its_backoff() -> None:
    verdict = decide(a_job(retries=1, backoff=8.0), an_attempt(), Outcome(Kind.FAILED, exit_code=1), 0)
    assert (verdict.status, verdict.delay) == (Status.RUNNABLE, 4.0)


@pytest.mark.parametrize("kind", [Kind.INTERRUPTED, Kind.LOST, Kind.DISK_FULL])
def test_the_loss_of_a_machine_uses_up_no_retry_of_the_user(kind: Kind) -> None:
    verdict = decide(a_job(retries=0), an_attempt(), Outcome(kind), 0)
    assert (verdict.status, verdict.charge) == (Status.RUNNABLE, Charge.INFRA)


def test_infrastructure_losses_are_bounded_too() -> None:
    verdict = decide(a_job(infra_retries=3), an_attempt(infra_failures=3), Outcome(Kind.LOST), 0)
    assert verdict.status is Status.FAILED
    assert "4 times" in verdict.reason


def test_an_interrupted_task_starts_elsewhere_at_once() -> None:
    assert decide(a_job(), an_attempt(), Outcome(Kind.INTERRUPTED), 0.9).delay == 0


@pytest.mark.parametrize("kind", [Kind.IMAGE_ERROR, Kind.START_ERROR])
def test_what_another_try_cannot_mend_is_not_retried(kind: Kind) -> None:
    assert decide(a_job(retries=5), an_attempt(), Outcome(kind), 0).status is Status.FAILED


def test_an_engine_that_does_not_answer_is_not_the_users_fault() -> None:
    verdict = decide(a_job(), an_attempt(), Outcome(Kind.START_ERROR, Charge.INFRA), 0)
    assert (verdict.status, verdict.charge) == (Status.RUNNABLE, Charge.INFRA)


def test_a_rule_may_forbid_the_retry_of_an_exit_code() -> None:
    job = a_job(retries=5, rules=(Rule(retry=False, exit_codes=((3, 4),)),))
    statuses = [
        decide(job, an_attempt(), Outcome(Kind.FAILED, exit_code=code), 0).status for code in (2, 3, 4, 5)
    ]
    assert statuses == [Status.RUNNABLE, Status.FAILED, Status.FAILED, Status.RUNNABLE]


def test_the_first_rule_that_matches_decides() -> None:
    rules = (Rule(retry=True, exit_codes=((3, 3),)), Rule(retry=False, kinds=frozenset({Kind.FAILED})))
    verdict = decide(a_job(retries=1, rules=rules), an_attempt(), Outcome(Kind.FAILED, exit_code=3), 0)
    assert verdict.status is Status.RUNNABLE


def test_an_exit_code_rule_does_not_match_a_timeout_that_exited_with_it() -> None:
    job = a_job(retries=1, rules=(Rule(retry=False, exit_codes=((0, 255),)),))
    assert decide(job, an_attempt(), Outcome(Kind.TIMED_OUT, exit_code=0), 0).status is Status.RUNNABLE


def test_a_rule_may_raise_the_memory_of_the_next_attempt_up_to_the_jobs_bound() -> None:
    rule = Rule(retry=True, kinds=frozenset({Kind.OUT_OF_MEMORY}), memory_factor=4)
    job = a_job(retries=1, rules=(rule,), max_memory=1024 * MIB)
    assert decide(job, an_attempt(), Outcome(Kind.OUT_OF_MEMORY), 0).memory == 1024 * MIB


def test_no_attempt_is_given_more_memory_than_the_largest_machine_has() -> None:
    rule = Rule(retry=True, kinds=frozenset({Kind.OUT_OF_MEMORY}), memory_factor=4)
    verdict = decide(a_job(retries=1, rules=(rule,)), an_attempt(), Outcome(Kind.OUT_OF_MEMORY), 0, 600 * MIB)
    assert verdict.memory == 600 * MIB


@given(
    failures=st.integers(1, 10_000),
    jitter=st.floats(0, 1, exclude_max=True),
    base=st.floats(0, 1e6),
    factor=st.floats(1, 100),
    most=st.floats(0, 1e6),
)
def test_backoff_lies_between_half_and_all_of_the_capped_exponential(
    failures: int, jitter: float, base: float, factor: float, most: float
) -> None:
    retry = Retry(backoff=base, backoff_factor=factor, max_backoff=most)
    delay = backoff(retry, failures, jitter)
    full = backoff(retry, failures, 1.0)
    assert full / 2 - 1e-9 <= delay <= full <= most


@given(
    kind=st.sampled_from(sorted(Kind)),
    user=st.integers(0, 20),
    infra=st.integers(0, 20),
    retries=st.integers(0, 20),
    infra_retries=st.integers(0, 20),
)
def test_an_outcome_is_retried_only_within_the_bound_of_whoever_pays(
    kind: Kind, user: int, infra: int, retries: int, infra_retries: int
) -> None:
    verdict = decide(
        a_job(retries=retries, infra_retries=infra_retries),
        an_attempt(user, infra),
        Outcome(kind, exit_code=1),
        0.5,
    )
    if verdict.status is Status.RUNNABLE:
        spent, bound = (user, retries) if verdict.charge is Charge.USER else (infra, infra_retries)
        assert spent < bound
