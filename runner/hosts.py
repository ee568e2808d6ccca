"""The machine an agent runs on, as the agent asks of it: one of the ports (`runner.ports`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Capacity:
    vcpus: float
    memory: int


@dataclass(frozen=True, slots=True)
class Notice:
    """The host is going away. With `at` (epoch seconds, by this host's clock) it ends then, and what runs is stopped
    in good time; without, what runs is finished, and nothing new is taken."""

    reason: str
    at: float | None = None


class Host(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def machine_type(self) -> str:
        """What kind of machine it is (`m7i.large`); empty if nobody could start another of the kind."""
        ...

    def capacity(self) -> Capacity:
        """What tasks may use: the machine's, minus what is reserved."""
        ...

    async def notice(self) -> Notice | None:
        """What is known of its end. Asked every second; quick, and never raises for a source that does not answer."""
        ...

    async def health(self) -> str:
        """An empty string if tasks can be taken, else one line on why not (disk low, say)."""
        ...

    async def mend(self) -> None:
        """Try to do something about what `health` complains of. May take minutes; touches nothing that runs."""
        ...

    async def protect(self, busy: bool) -> None:
        """Keep the machine from being taken while it is busy. Asked every second; acts on changes only."""
        ...

    async def spared(self) -> bool:
        """Whether the fleet can do without this machine once it is idle. Raises Unavailable if that cannot be known."""
        ...

    async def retire(self) -> None:
        """Give the machine back. The last thing an agent does; it may end in the middle of it."""
        ...
