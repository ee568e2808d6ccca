"""Read and write units: how many a request takes, how many were taken, and how many a partition has."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from controller.simulation.services.dynamodb.errors import Refused

READ_UNIT, WRITE_UNIT = 4096, 1024
READS, WRITES = 3000.0, 1000.0  # a partition's, in units a second
TOO_MUCH = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly. If exceptions persist, check if you have a hot key."
)


def write_units(size: int) -> int:
    return -(-size // WRITE_UNIT) or 1


def read_units(size: int, consistent: bool) -> float:
    units = -(-size // READ_UNIT) or 1
    return float(units) if consistent else units / 2


@dataclass
class Meter:
    """Units that were taken, by operation."""

    reads: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    writes: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Throughput:
    """What each collection may take: a second's worth at once, and as much again each second. A collection stands for
    a partition, which it has to itself once it is busy."""

    def __init__(self, rate: float, reason: str) -> None:
        self._rate = rate
        self._reason = reason
        self._buckets: dict[Any, _Bucket] = {}

    def take(self, table: str, hash_key: Any, units: float, now: float) -> None:
        """Raises Refused if there is too little left."""
        if not self.has(table, hash_key, units, now):
            raise throttled(table, self._reason)
        self._buckets[table, hash_key].left -= units

    def has(self, table: str, hash_key: Any, units: float, now: float) -> bool:
        bucket = self._buckets.setdefault((table, hash_key), _Bucket(self._rate, now))
        bucket.left = min(self._rate, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket.left >= units


def throttled(table: str, reason: str) -> Refused:
    resource = f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}"
    return Refused(
        "ThrottlingException", TOO_MUCH, {"throttlingReasons": [{"reason": reason, "resource": resource}]}
    )
