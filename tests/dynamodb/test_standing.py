"""What becomes of a job as a whole, and of its tasks with it, without a look at them."""

from __future__ import annotations

from dataclasses import replace

from runner.adapters.dynamodb import standing
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import Total
from runner.array import Array
from runner.model import Status
from runner.records import Ending, Window

ARRAY = Array.of_size(10)
CANCEL = Ending(Status.CANCELLED, "why", 1.0)
NEW = Standing("job-1", size=10, buckets=1, parts=1, chunks=1, created_at=0.0, released_at=0.0)
SENT = replace(NEW, sent=6)


def ended_and_reopened(before: Standing, total: Total = Total()) -> Standing:  # noqa: B008
    ended = standing.ended(before, CANCEL)
    assert ended is not None
    return standing.reopened(ended, total, 2.0)


def after_window(before: Standing, *indices: int, cursor: int = 6) -> Standing:
    sent = standing.window_sent(before, ARRAY, Window(indices, cursor, before.round))
    assert sent is not None
    return sent


def all_scanned(before: Standing) -> Standing:
    scanned = standing.scanned_to(before, before.resend_end)
    assert scanned is not None
    return scanned


def test_a_first_round_has_nothing_to_send_again() -> None:
    assert not SENT.scanning


def test_after_an_ending_what_was_sent_is_to_be_sent_again() -> None:
    assert ended_and_reopened(SENT).resend == 6


def test_except_what_succeeded_or_runs() -> None:
    assert ended_and_reopened(SENT, Total(succeeded=2, running=1)).resend == 3


def test_a_task_that_never_began_is_opened_again_only_if_its_message_was_thrown_away() -> None:
    again = ended_and_reopened(SENT)
    assert (again.opened_again(None, 0, 5), again.opened_again(None, 0, 6)) == (1, None)


def test_a_failure_of_an_earlier_round_is_open_again_and_one_of_this_is_not() -> None:
    again = standing.reopened(SENT, Total(failed=1), 2.0)
    assert again.opened_again(Status.FAILED, 1, 0) == 1
    assert again.opened_again(Status.FAILED, 2, 0) is None


def test_a_retry_that_waits_is_not_opened_again_unless_its_job_had_ended() -> None:
    assert standing.reopened(SENT, Total(failed=1), 2.0).opened_again(Status.RUNNABLE, 1, 0) is None
    assert ended_and_reopened(SENT).opened_again(Status.RUNNABLE, 1, 0) == 1


def test_a_success_is_never_opened_again() -> None:
    assert ended_and_reopened(SENT).opened_again(Status.SUCCEEDED, 0, 0) is None


def test_what_a_window_sent_again_is_not_to_be_sent_again() -> None:
    again = after_window(ended_and_reopened(SENT), 0, 1, 2)
    assert [again.to_be_sent_again(1, position) for position in range(6)] == [False] * 3 + [True] * 3
    assert again.resend == 3


def test_the_same_window_again_changes_nothing() -> None:
    once = after_window(ended_and_reopened(SENT), 0, 1, 2)
    assert standing.window_sent(once, ARRAY, Window((0, 1, 2), 6, 2)) is None


def test_a_longer_window_counts_only_what_is_new_in_it() -> None:
    once = after_window(ended_and_reopened(SENT), 0, 1, 2)
    assert after_window(once, 0, 1, 2, 3).resend == 2


def test_a_new_task_in_a_window_says_that_nothing_more_is_to_be_sent_again() -> None:
    assert not after_window(ended_and_reopened(SENT), 5, 6, cursor=7).scanning


def test_what_a_round_had_sent_again_stays_so_in_the_next() -> None:
    second = after_window(ended_and_reopened(SENT), 0, 1, 2)
    third = standing.reopened(second, Total(failed=1), 3.0)
    assert not third.to_be_sent_again(1, 2)
    assert third.to_be_sent_again(1, 3)
    assert third.to_be_sent_again(2, 0)


def test_an_ending_throws_away_what_had_been_sent_again() -> None:
    second = after_window(ended_and_reopened(SENT), 0, 1, 2)
    third = ended_and_reopened(second)
    assert third.opened_again(None, 0, 1) == 2
    assert third.to_be_sent_again(2, 1)


def test_however_many_rounds_there_are_few_scans_are_remembered() -> None:
    job = SENT
    for _ in range(50):
        job = standing.reopened(job, Total(failed=1), 2.0)
        moved = standing.scanned_to(job, job.resend_end)
        assert moved is not None
        job = moved
    assert len(job.scans) == 1


def test_while_it_is_being_sent_again_no_more_counts_as_queued_than_may_be() -> None:
    again = ended_and_reopened(SENT)
    assert again.queued(Total()) == 0
    assert after_window(again, 0, 1).queued(Total()) == 2
    assert after_window(again, 0, 1).queued(Total(succeeded=5)) == 0


def test_what_runs_counts_as_queued_in_any_case() -> None:
    assert ended_and_reopened(SENT).queued(Total(running=2)) == 2


def test_what_was_counted_only_after_the_round_was_opened_is_to_be_sent_again_too() -> None:
    again = standing.reopened(SENT, Total(failed=1, earlier=2), 2.0)
    assert again.queued(Total(earlier=3)) == 5
    assert again.queued(Total(earlier=6)) == 2
    assert after_window(again, 0, 1, 2).queued(Total(earlier=6)) == 5


def test_so_it_is_in_the_round_after() -> None:
    again = standing.reopened(SENT, Total(failed=1), 2.0)
    assert standing.reopened(again, Total(failed=1, earlier=4), 3.0).queued(Total(earlier=5)) == 1


def test_until_a_round_has_been_searched_to_its_end_there_is_room_for_one_more() -> None:
    again = after_window(standing.reopened(SENT, Total(failed=1), 2.0), 0)
    assert (again.queued(Total(earlier=1)), all_scanned(again).queued(Total(earlier=1))) == (5, 6)


def test_what_was_cancelled_too_late_is_not_queued_until_it_is_sent_again() -> None:
    again = all_scanned(after_window(ended_and_reopened(SENT, Total(running=1)), 0, 1, 2, 3, 4))
    late = Total(lifted=1)
    assert again.queued(late) == 5
    sent = standing.window_sent(again, ARRAY, Window((5,), 6, 2), lifted=(5,), most=1)
    assert sent is not None
    assert sent.queued(late) == 6


def test_an_ending_opens_again_what_was_cancelled_too_late_with_all_the_others() -> None:
    again = ended_and_reopened(ended_and_reopened(SENT), Total(lifted=2))
    assert again.lifted_unsent(Total(lifted=2)) == 0
    assert not again.on_its_own(2)
    assert again.on_its_own(3)


def test_no_more_are_known_to_be_sent_on_their_own_than_there_were() -> None:
    again = replace(SENT, lifted_sent=2)
    sent = standing.window_sent(again, ARRAY, Window((0,), 6, 1), lifted=(0,), most=2)
    assert sent is None


def test_one_sent_on_its_own_says_nothing_of_what_its_round_has_to_send_again() -> None:
    second = ended_and_reopened(SENT, Total(running=1))
    sent = standing.window_sent(second, ARRAY, Window((0, 1), 6, 2), lifted=(0,), most=1)
    assert sent is not None
    assert (second.resend, sent.resend) == (5, 4)


def test_a_long_reason_is_cut() -> None:
    ended = standing.ended(NEW, replace(CANCEL, reason="x" * 1_000_000))
    assert ended is not None
    assert ended.ending is not None
    assert len(ended.ending.reason) < 5000
