"""What may go wrong between a process and a service."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Effect(StrEnum):
    """What becomes of one request. The client asks again as boto3 does, so a call fails only when its tries do."""

    THROTTLED = "throttled"
    FAILED = "failed"  # a 500: not carried out
    FAILED_AFTER = "failed after"  # a 500 of a request that was carried out
    REFUSED = "refused"  # the connection, at once: not carried out
    UNREACHABLE = "unreachable"  # no connection until the client's patience ends: not carried out
    RESET = "reset"  # carried out, and the connection broke before the reply
    LOST = "lost"  # carried out, and no reply until the client's patience ends
    DENIED = "denied"  # not carried out, and not asked again
    SLOW = "slow"  # carried out `seconds` later than usual


@dataclass(frozen=True, slots=True)
class Fault:
    """Which requests it hits: `service`, `operation`, `process` are patterns with `*`; of those `share` of them, from
    `begins` until `ends`, in virtual seconds. `codes`: the service's own for a refusal, where it matters."""

    effect: Effect
    service: str = "*"
    operation: str = "*"
    process: str = "*"
    share: float = 1.0
    begins: float = 0.0
    ends: float = float("inf")
    seconds: float = 0.0
    code: str = ""

    def hits(self, at: float, service: str, operation: str, process: str) -> bool:
        return (
            self.begins <= at < self.ends
            and fnmatchcase(service, self.service)
            and fnmatchcase(operation, self.operation)
            and fnmatchcase(process, self.process)
        )

    def __str__(self) -> str:
        share = "" if self.share == 1 else f" of {self.share:.0%}"
        late = f" by {self.seconds:g} s" if self.seconds else ""
        return f"{self.effect}{late}{share}: {self.service}:{self.operation} from {self.process}"


# Each carried out in the service, whatever the client is told.
CARRIED_OUT: Collection[Effect] = frozenset({Effect.FAILED_AFTER, Effect.RESET, Effect.LOST, Effect.SLOW})
