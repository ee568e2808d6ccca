"""What the parts of the ledger share."""

from __future__ import annotations

from dataclasses import dataclass

from runner.adapters.dynamodb.lots import Lots
from runner.adapters.dynamodb.standings import Standings
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.totals import Totals
from runner.ports import Clock


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`history`: for how long, in seconds, records are kept after they were written; None: for ever."""

    now: Clock
    history: float | None

    def expires(self) -> int | None:
        return None if self.history is None else int(self.now() + self.history)

    def outlived(self, created_at: float) -> bool:
        """Records of the job's tasks may be gone, as if these had never begun."""
        return self.history is not None and self.now() > created_at + self.history


@dataclass(frozen=True, slots=True)
class Context:
    """`lease`: after so many seconds without a beat an owner counts as silent. `lots`: writes to the table that may
    go in company."""

    table: Table
    lots: Lots
    now: Clock
    lease: float
    lifetime: Lifetime
    standings: Standings
    totals: Totals
