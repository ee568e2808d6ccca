"""Receives: looks, long polls, what they bring beyond what was asked for. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from controller.simulation.clock import now
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqs.queue import SqsQueue
from runner.adapters.sqs.receiving import KEEP_SHARE
from runner.agent.heartbeat import Heartbeat
from runner.agent.holding import Holding
from runner.aws import AwsError, Trouble
from runner.model import Attempt, Lease
from runner.settings_file import MOST_BEAT
from tests.aws.wrappers import answers, fails
from tests.sqs.rig import queue_name
from tests.sqs.stage import HIDE, Stage, takes, task, tasks, virtual

TWO = {"high": 1, "low": 0}


async def ask(queue: SqsQueue, limit: int = 10, wait: float = 1.0) -> Sequence[Lease]:
    """As an agent does."""
    return await queue.receive(limit, wait=wait, hide=HIDE)


async def three_of_six(queue: SqsQueue) -> Sequence[Lease]:
    """What a receive of three gets while three messages come on each of two channels."""
    waiting = asyncio.create_task(ask(queue, 3))
    await asyncio.sleep(0.5)
    await asyncio.gather(queue.send("high", tasks(3)), queue.send("low", tasks(3)))
    return await waiting


def receives(stage: Stage) -> int:
    return stage.aws.requests["receive_message"]


@virtual
async def test_messages_come_ten_in_a_request() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(30))
    assert len(await ask(queue, 30)) == 30
    assert receives(stage) == 3


@virtual
async def test_nothing_is_asked_for_no_room() -> None:
    stage = await Stage.set()
    assert not await ask(stage.queue(), 0)
    assert receives(stage) == 0


@virtual
async def test_a_message_ends_the_wait_for_it() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    waiting = asyncio.create_task(ask(queue, wait=15.0))
    await asyncio.sleep(5)
    await queue.send("default", [task(3)])
    await asyncio.sleep(0.01)
    assert [lease.task for lease in waiting.result()] == [task(3)]


@virtual
async def test_a_message_of_any_channel_ends_the_wait() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    waiting = asyncio.create_task(ask(queue, wait=15.0))
    await asyncio.sleep(5)
    await queue.send("low", [task()])
    await asyncio.sleep(0.01)
    assert [lease.queue for lease in waiting.result()] == ["low"]


@virtual
async def test_the_lease_of_a_message_that_was_waited_for_begins_when_it_came() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    waiting = asyncio.create_task(ask(queue, wait=15.0))
    await asyncio.sleep(10)
    await queue.send("default", [task()])
    (lease,) = await waiting
    assert 9.0 <= lease.received <= 10.0
    assert lease.hidden_until == lease.received + HIDE


@virtual
async def test_an_idle_agent_makes_few_requests() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    for _ in range(3600):
        assert not await ask(queue)
    assert receives(stage) <= 3600 / 20 + 2


@virtual
async def test_the_many_channels_of_an_idle_agent_take_turns() -> None:
    channels = {f"channel-{n}": 0 for n in range(40)}
    stage = await Stage.set()
    for channel in channels:
        await stage.service.call("sqs", "create_queue", QueueName=queue_name(channel))
    queue = stage.queue(channels)
    polled = await polled_within(stage, queue, 30)
    assert set(polled) == {queue_name(channel) for channel in channels}


async def polled_within(stage: Stage, queue: SqsQueue, seconds: int) -> Sequence[str]:
    for _ in range(seconds):
        await ask(queue)
    asked = [given for given in stage.aws.given("receive_message") if given["WaitTimeSeconds"]]
    return [str(given["QueueUrl"]).rpartition("/")[2] for given in asked]


@virtual
async def test_a_short_look_that_misses_what_is_there_is_made_up_for_at_once() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    stage.faulty.plan("receive_message", answers({}))
    began = asyncio.get_running_loop().time()
    assert len(await ask(queue)) == 1
    assert asyncio.get_running_loop().time() - began < 0.1


@virtual
async def test_what_two_polls_bring_together_is_received_in_turn_and_never_more_than_asked_for() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    first = await three_of_six(queue)
    second = await ask(queue, 3)
    assert (len(first), len(second)) == (3, 3)


@virtual
async def test_what_nobody_receives_is_given_back() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    assert len(await three_of_six(queue)) == 3
    await asyncio.sleep(HIDE * KEEP_SHARE + 0.1)
    assert stage.visible("high") + stage.visible("low") == 3


@virtual
async def test_what_comes_when_no_receive_is_to_be_expected_is_given_back_at_once() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    assert not await ask(queue)
    await asyncio.sleep(5)
    await queue.send("default", [task()])
    await asyncio.sleep(0.1)
    assert stage.visible() == 1


@virtual
async def test_a_poll_is_not_repeated_for_an_agent_that_does_not_ask() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await ask(queue)
    before = receives(stage)
    await asyncio.sleep(600)
    assert receives(stage) == before


@virtual
async def test_messages_of_a_cancelled_look_are_given_back() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await queue.send("high", tasks(3))
    receiving = asyncio.create_task(ask(queue))
    await until_in_flight(stage, "high")
    receiving.cancel()
    await asyncio.sleep(0.1)
    assert receiving.cancelled()
    assert stage.visible("high") == 3


async def until_in_flight(stage: Stage, channel: str) -> None:
    while not stage.in_flight(channel):
        await asyncio.sleep(0)


@virtual
async def test_messages_of_a_cancelled_wait_are_given_back() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    receiving = asyncio.create_task(ask(queue, wait=15.0))
    await asyncio.sleep(5)
    receiving.cancel()
    await queue.send("default", [task()])
    await asyncio.sleep(0.1)
    assert stage.visible() == 1


@virtual
async def test_closing_gives_back_what_was_brought_ahead() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await three_of_six(queue)
    await queue.close()
    assert stage.visible("high") + stage.visible("low") == 3


@virtual
async def test_closing_does_not_wait_for_a_poll_to_end() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await ask(queue)
    began = asyncio.get_running_loop().time()
    await queue.close()
    assert asyncio.get_running_loop().time() - began < 3.0


@virtual
async def test_the_answer_of_a_slow_look_is_given_back_as_its_time_is_nearly_over() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    stage.faulty.plan("receive_message", takes(HIDE * 0.8))
    assert not await ask(queue, wait=0.0)
    await asyncio.sleep(0.1)
    assert stage.visible() == 1


@pytest.mark.parametrize("share", [0.0, 0.2, 0.29, 0.36, 0.5, 0.59])
@virtual
async def test_whatever_the_queue_hands_out_lives_until_the_next_beat(share: float) -> None:
    """Even where beats are as far apart as settings allow, the last was a moment ago, and the answer took so long."""
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    stage.faulty.plan("receive_message", takes(HIDE * share))
    handed_out = await ask(queue, wait=0.0)
    ledger = SqliteLedger(Database.memory(), now, HIDE, steady=now)
    heartbeat = Heartbeat(queue, ledger, lease=HIDE, beat=MOST_BEAT * HIDE, pulse=lambda: None)
    for lease in handed_out:
        heartbeat.hold(Holding(lease, Attempt(lease.task, 1, 1, "host#1", 1), 0.0))
    heartbeat.expire(asyncio.get_running_loop().time() + MOST_BEAT * HIDE)
    assert [holding.cause for holding in heartbeat.held] == [None] * len(handed_out)


@virtual
async def test_what_arrives_during_a_look_is_returned_by_the_same_receive_at_once() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    assert not await ask(queue)  # a long poll at each from now on
    await queue.send("low", tasks(10))
    await ask(queue, 10)
    stage.faulty.plan("receive_message", takes(0.5))
    began = asyncio.get_running_loop().time()
    receiving = asyncio.create_task(ask(queue))
    await asyncio.sleep(0.2)
    await queue.send("high", [task()])
    assert [lease.queue for lease in await receiving] == ["high"]
    assert asyncio.get_running_loop().time() - began < 0.6


@virtual
async def test_a_high_channel_is_noticed_while_a_low_one_keeps_the_agent_busy() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await queue.send("low", tasks(500))
    for _ in range(20):
        await busy(queue)
    await queue.send("high", [task()])
    await asyncio.sleep(0.1)
    assert "high" in [lease.queue for lease in await ask(queue, 1)]


@virtual
async def test_an_empty_channel_beside_a_busy_one_costs_next_to_nothing() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await queue.send("low", tasks(2000))
    for _ in range(1000):
        await busy(queue)
    on_high = [given for given in stage.aws.given("receive_message") if "high" in given["QueueUrl"]]
    assert len(on_high) <= 100 / 20 + 3


async def busy(queue: SqsQueue) -> None:
    """One slot of many becomes free, ten times a second."""
    assert await ask(queue, 1)
    await asyncio.sleep(0.1)


@virtual
async def test_an_agent_that_takes_many_is_brought_some_ahead() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(1000))
    for _ in range(500):
        await busy(queue)
    assert receives(stage) <= 500 / 10 + 12


@virtual
async def test_nothing_is_brought_ahead_for_an_agent_with_long_tasks() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(100))
    held = len(await queue.receive(16, wait=1.0, hide=3600.0))
    for _ in range(10):
        await asyncio.sleep(60)
        held += len(await queue.receive(1, wait=1.0, hide=3600.0))
        assert stage.in_flight() == held


@virtual
async def test_when_an_agent_has_enough_what_was_brought_ahead_is_given_back() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(1000))
    for _ in range(95):
        await busy(queue)
    await asyncio.sleep(HIDE * KEEP_SHARE + 1.0)
    assert stage.in_flight() == 95


@virtual
async def test_an_error_ends_the_receive() -> None:
    stage = await Stage.set()
    stage.faulty.plan("receive_message", fails("AccessDenied", Trouble.DENIED))
    with pytest.raises(AwsError, match="check the credentials"):
        await ask(stage.queue())


@virtual
async def test_an_error_of_a_long_poll_ends_the_receive_that_waits() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    stage.faulty.plan("receive_message", answers({}), fails("InternalError"))
    with pytest.raises(AwsError):
        await ask(queue)


@pytest.mark.parametrize(("broken", "works"), [("low", "high"), ("high", "low")])
@virtual
async def test_a_channel_out_of_order_does_not_keep_others_waiting(broken: str, works: str) -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await queue.send(works, tasks(100))
    del stage.service.queues[queue_name(broken)]
    for _ in range(20):
        assert [lease.queue for lease in await ask(queue, 1)] == [works]


@virtual
async def test_a_channel_out_of_order_is_asked_again_now_and_then() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await queue.send("low", tasks(1000))
    del stage.service.queues[queue_name("high")]
    for _ in range(600):
        await busy(queue)
    asked = [given for given in stage.aws.given("get_queue_url") if "high" in given["QueueName"]]
    assert 3 <= len(asked) + receives_of(stage, "high") <= 60 / 10 * 2 + 2


def receives_of(stage: Stage, channel: str) -> int:
    return sum(1 for given in stage.aws.given("receive_message") if channel in given["QueueUrl"])


@virtual
async def test_work_goes_on_after_an_error() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    stage.faulty.plan("receive_message", fails("InternalError"))
    with pytest.raises(AwsError):
        await ask(queue)
    assert len(await ask(queue)) == 1


@virtual
async def test_too_many_messages_in_flight_look_like_none_and_no_loop_asks_again_and_again() -> None:
    stage = await Stage.set(in_flight_limit=5)
    queue = stage.queue()
    await queue.send("default", tasks(10))
    assert len(await ask(queue, 5)) == 5
    before = receives(stage)
    for _ in range(50):
        assert not await ask(queue)
    assert receives(stage) - before <= 50 / 20 + 3


@virtual
async def test_a_poll_that_ends_too_soon_is_not_repeated_in_a_hot_loop() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    stage.faulty.plan("receive_message", *(answers({}) for _ in range(1000)))
    for _ in range(60):
        assert not await ask(queue)
    assert receives(stage) <= 70


@virtual
async def test_after_a_freeze_nothing_is_received_whose_time_is_over() -> None:
    stage = await Stage.set()
    queue = stage.queue(TWO)
    await three_of_six(queue)
    loop = asyncio.get_running_loop()
    loop.jump(HIDE + 1)  # type: ignore[attr-defined]  # as a stopped process sees it: no timer came before
    assert all(lease.hidden_until > loop.time() for lease in await ask(queue, 3, wait=0.0))
