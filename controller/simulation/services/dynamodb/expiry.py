"""Items whose time is over go by themselves, some time later; until then they are read and written as ever."""

from __future__ import annotations

from collections.abc import Iterable

from controller.simulation.services.dynamodb.tables import Stored, Table

# The service promises "a few days"; here it looks so often, in seconds.
EVERY = 6 * 3600.0
# What is older than that was no time to begin with.
OLDEST = 5 * 365 * 86400


class Expiry:
    def __init__(self) -> None:
        self._due = 0.0

    def sweep(self, tables: Iterable[Table], now: float, lag: float) -> None:
        """It costs no units."""
        if now < self._due:
            return
        self._due = now + EVERY
        for table in tables:
            if table.expiry is not None:
                gone = [key for key, stored in table if _over(stored, table.expiry, now)]
                for key in gone:
                    table.put(key, None, now, lag)


def _over(stored: Stored, attribute: str, now: float) -> bool:
    said = stored.item.get(attribute, {}).get("N")
    return said is not None and now - OLDEST < float(said) < now
