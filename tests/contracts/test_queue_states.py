"""Whatever is done to a queue in whatever order: nothing is lost, nothing shown while it is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from runner.model import Lease, TaskId
from tests.contracts.machines import RigMachine, explore
from tests.contracts.rigs import RIGS

SECONDS = st.sampled_from([0.0, 1.0, 10.0, 60.0])

# In so many receives whatever is visible is found.
RECEIVES = 1000


@dataclass
class Message:
    """What is expected of one message. `token` is None when nobody holds it."""

    visible_at: float
    token: str | None = None
    receives: int = 0


class QueueMachine(RigMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = self.rig.queue({"default": 0})
        self.messages: dict[int, Message] = {}
        self.leases: list[Lease] = []
        self.sent = 0

    def visible(self) -> set[int]:
        return {index for index, message in self.messages.items() if message.visible_at <= self.rig.now()}

    def current(self, lease: Lease) -> Message | None:
        message = self.messages.get(lease.task.index)
        return message if message is not None and message.token == lease.token else None

    def held(self, lease: Lease) -> bool:
        message = self.current(lease)
        return message is not None and message.visible_at > self.rig.now()

    def usable(self) -> list[Lease]:
        """All, if the rig says that acting on a lost one does nothing; else nobody knows what that would do."""
        return [lease for lease in self.leases if self.rig.refuses_stale_tokens or self.held(lease)]

    @rule(count=st.integers(1, 4), delay=SECONDS)
    def send(self, count: int, delay: float) -> None:
        indices = range(self.sent, self.sent + count)
        self.sent += count
        self.do(self.queue.send("default", [TaskId("job-1", index) for index in indices], delay=delay))
        for index in indices:
            self.messages[index] = Message(self.rig.now() + delay)

    @rule(limit=st.integers(1, 5), hide=st.sampled_from([1.0, 10.0, 60.0]))
    def receive(self, limit: int, hide: float) -> None:
        self.take(limit, hide)

    def take(self, limit: int, hide: float) -> list[Lease]:
        visible = self.visible()
        leases = self.do(self.queue.receive(limit, wait=0.0, hide=hide))
        received = [lease.task.index for lease in leases]
        assert set(received) <= visible
        assert len(received) == len(set(received)) <= limit
        assert not self.rig.exact or len(received) == min(limit, len(visible))
        for lease in leases:
            message = self.messages[lease.task.index]
            message.receives += 1
            message.visible_at, message.token = self.rig.now() + hide, lease.token
            assert not self.rig.exact or lease.receives == message.receives
        self.leases += leases
        return list(leases)

    def take_all(self) -> list[Lease]:
        """All that is visible, in as many receives as it takes."""
        taken: list[Lease] = []
        for _ in range(RECEIVES):
            if not self.visible():
                break
            taken += self.take(1000, 600.0)
        assert not self.visible(), "messages that are there do not come"
        return taken

    @precondition(lambda self: self.usable())
    @rule(data=st.data(), hide=st.sampled_from([1.0, 10.0, 60.0]))
    def extend(self, data: st.DataObject, hide: float) -> None:
        lease = data.draw(st.sampled_from(self.usable()))
        lost = self.do(self.queue.extend([lease], hide))
        message = self.current(lease)
        if message is not None:
            message.visible_at = self.rig.now() + hide
        assert message is None or not lost

    @precondition(lambda self: self.usable())
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.usable()))
        self.do(self.queue.complete([lease]))
        if self.current(lease) is not None:
            del self.messages[lease.task.index]

    @precondition(lambda self: self.usable())
    @rule(data=st.data())
    def put_aside(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.usable()))
        before = len(self.do(self.rig.quarantined()))
        self.do(self.queue.quarantine(lease, "of no use"))
        if self.current(lease) is not None:
            del self.messages[lease.task.index]
            before += 1
        assert len(self.do(self.rig.quarantined())) == before

    @precondition(lambda self: self.usable())
    @rule(data=st.data(), delay=SECONDS)
    def release(self, data: st.DataObject, delay: float) -> None:
        self.give_back(data.draw(st.sampled_from(self.usable())), delay)

    def give_back(self, lease: Lease, delay: float = 0.0) -> None:
        self.do(self.queue.release(lease, delay))
        message = self.current(lease)
        if message is not None:
            message.visible_at, message.token = self.rig.now() + delay, None

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 30.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.do(self.rig.advance(seconds))

    @rule()
    def write_nonsense(self) -> None:
        """Messages are taken in no promised order, so take all there are, and put them back."""
        before = len(self.do(self.rig.quarantined()))
        self.do(self.rig.put_raw("default", "nonsense"))
        leases: list[Lease] = []
        for _ in range(RECEIVES):
            leases += self.take(1000, 600.0)
            if len(self.do(self.rig.quarantined())) > before:
                break
        assert len(self.do(self.rig.quarantined())) == before + 1
        for lease in leases:
            self.give_back(lease)

    @invariant()
    def every_message_is_somewhere(self) -> None:
        depth = self.do(self.queue.backlog())["default"]
        if self.rig.exact:
            assert depth.visible == len(self.visible())
            assert depth.total == len(self.messages)

    def teardown(self) -> None:
        self.do(self.rig.advance(1000.0))
        left = self.take_all()
        assert {lease.task.index for lease in left} == set(self.messages)
        super().teardown()


@pytest.mark.parametrize("rig", RIGS)
def test_a_message_sent_and_not_completed_is_always_somewhere(rig: str) -> None:
    explore(QueueMachine, rig)
