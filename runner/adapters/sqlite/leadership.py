"""Who leads, what the leader tells the agents, and what the agents say of themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from runner.adapters.unreadable import leave_out
from runner.codec import DecodeError, decode_report, encode_report
from runner.ports import Supervision
from runner.records import HostReport


def lead(connection: sqlite3.Connection, *, holder: str, now: float, until: float) -> bool:
    taken = connection.execute(
        """
        INSERT INTO leader (one, holder, until) VALUES (1, ?, ?)
        ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE leader.holder = excluded.holder OR leader.until <= ?
        """,
        (holder, until, now),
    )
    return taken.rowcount == 1


def resign(connection: sqlite3.Connection, *, holder: str) -> None:
    connection.execute("UPDATE leader SET until = 0 WHERE holder = ?", (holder,))


def publish(connection: sqlite3.Connection, *, holder: str, demand: int, note: str, now: float) -> None:
    connection.execute(
        "UPDATE leader SET demand = ?, note = ? WHERE holder = ? AND until > ? AND (demand <> ? OR note <> ?)",
        (demand, note, holder, now, demand, note),
    )


def supervision(connection: sqlite3.Connection, *, now: float) -> Supervision:
    row = connection.execute("SELECT until > ?, demand, note FROM leader", (now,)).fetchone()
    if row is None:
        return Supervision(led=False, demand=0)
    return Supervision(led=bool(row[0]), demand=row[1], note=row[2])


def report(connection: sqlite3.Connection, *, report: HostReport) -> None:
    if report.state == "retired":
        connection.execute(
            "DELETE FROM hosts WHERE host = ? AND incarnation = ?", (report.host, report.incarnation)
        )
        return
    connection.execute(
        "INSERT OR REPLACE INTO hosts (host, incarnation, seen_at, body) VALUES (?, ?, ?, ?)",
        (report.host, report.incarnation, report.seen_at, encode_report(report)),
    )


def hosts(connection: sqlite3.Connection) -> Sequence[HostReport]:
    rows = connection.execute("SELECT host, body FROM hosts ORDER BY seen_at DESC, host").fetchall()
    found = [_read(host, body) for host, body in rows]
    return [each for each in found if each is not None]


def _read(host: str, body: str) -> HostReport | None:
    try:
        return decode_report(body)
    except DecodeError as error:
        leave_out("host", host, str(error))
        return None
