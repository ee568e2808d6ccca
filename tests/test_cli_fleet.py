"""`fleet`, on this machine and as it looks for a fleet in the cloud (its view made up), and `serve` with /healthz."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from controller.cli.fleet import show
from controller.fleet_report import FleetView, environment_objects, environment_status
from controller.model import EnvironmentCapacity, Instance, Trouble
from controller.obstacles import SILENT_AFTER
from runner.records import Backlog, HostReport, Note
from tests.desk import Desk
from tests.fleets import GIB, environment, routes_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_on_this_machine_there_is_one_environment(desk: Desk) -> None:
    (local,) = desk.json("fleet")
    assert (local["id"], local["status"], local["desired"], local["maximum"]) == ("local", "empty", 0, 1)


def test_the_last_decision_is_shown_with_its_reason(desk: Desk) -> None:
    desk.submit("--array", "3")
    desk.step()
    (local,) = desk.json("fleet", "status")
    assert local["reason"] == "3 tasks wait or run; at most 1 agents"
    assert local["channels"] == [{"id": "default", "demand": 3, "visible": 3, "in_flight": 0, "delayed": 0}]


def test_the_table_shows_environments_reasons_and_channels(desk: Desk) -> None:
    desk.submit("--array", "3")
    desk.step()
    shown = desk.out("fleet")
    assert [line.split() for line in shown.splitlines() if line.startswith(("local", "default"))] == [
        ["local", "empty", "0", "0", "0", "0", "1", "-"],
        ["local:", "3", "tasks", "wait", "or", "run;", "at", "most", "1", "agents"],
        ["default", "3", "3", "0", "0"],
    ]


def test_before_anything_was_decided_it_says_so(desk: Desk) -> None:
    assert "local: nothing was decided yet" in desk.out("fleet")
    assert "nobody is supervising" in desk.call("fleet").stderr


def test_quiet_prints_the_environments_names(desk: Desk) -> None:
    assert desk.out("fleet", "--output", "quiet") == "local\n"


def capacity(desired: int, running: int, trouble: Trouble | None = None) -> EnvironmentCapacity:
    machines = [Instance(f"i-{number}", in_service=True) for number in range(running)]
    return EnvironmentCapacity("spot", desired, running, 0, 0, 20, machines, trouble)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (capacity(0, 0), "empty"),
        (capacity(3, 1), "growing"),
        (capacity(3, 3), "steady"),
        (capacity(3, 1, Trouble("no capacity", 1.0, 2.0)), "short"),
        (capacity(3, 3, Trouble("no capacity", 800.0, 800.0)), "short"),
        (capacity(3, 3, Trouble("no capacity", 1.0, 2.0)), "steady"),
    ],
)
def test_an_environments_status_follows_from_its_machines(seen: EnvironmentCapacity, status: str) -> None:
    assert environment_status(seen, now=1000.0) == status


def test_an_environment_shows_its_own_hosts_channels_and_cost() -> None:
    def host(name: str) -> HostReport:
        return HostReport(name, "1", "running", 2, GIB, 2, GIB, 0, (), (), 1, 0.0, 7.0, "n")

    routes = routes_of(environment("spot", "m6i.large"), environment("other", "r6i.4xlarge"))
    view = FleetView(
        capacity={"spot": capacity(3, 2, Trouble("no capacity", 1.0, 2.0))},
        backlog={"default.2x8": Backlog(5, 1, 0, 0.0)},
        hosts=[host("i-1"), host("i-99")],
        note=Note({"default.2x8": 6}, {"spot": "because"}),
        led=True,
        routes=routes,
    )
    (shown,) = environment_objects(view)
    assert shown["hosts"] == [
        {"id": "i-1", "status": "running", "tasks": 0, "vcpus": 2, "memory": GIB, "seen_at": 7.0, "note": "n"}
    ]
    assert shown["channels"] == [
        {"id": "default.2x8", "demand": 6, "visible": 5, "in_flight": 1, "delayed": 0}
    ]
    assert (shown["reason"], shown["trouble"], shown["trouble_since"]) == ("because", "no capacity", 1.0)
    assert shown["dollars_an_hour"] == pytest.approx(2 * 0.096)


def hosts_shown(capsys: pytest.CaptureFixture[str], *hosts: HostReport) -> list[list[str]]:
    """Name and status of each, as the table has them; there are the machines i-0 and i-1, and it is 1,000 o'clock."""
    view = FleetView(
        capacity={"spot": capacity(2, 2)},
        backlog={},
        hosts=hosts,
        note=Note(),
        led=True,
        routes=routes_of(environment("spot", "m6i.large")),
        now=1000.0,
    )
    show(view)
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    return [row for row in rows if row and row[0].startswith("i-")]


def a_host(name: str, seen_at: float) -> HostReport:
    return HostReport(name, "1", "running", 2, GIB, 2, GIB, 0, (), (), 1, 0.0, seen_at)


def test_the_table_shows_no_host_whose_machine_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    assert hosts_shown(capsys, a_host("i-0", 999.0), a_host("i-dead", 5.0)) == [["i-0", "running"]]


def test_the_table_says_of_a_host_that_has_not_reported_lately_that_it_is_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hosts = a_host("i-0", 1000.0 - SILENT_AFTER), a_host("i-1", 999.0 - SILENT_AFTER)
    assert hosts_shown(capsys, *hosts) == [["i-0", "running"], ["i-1", "silent"]]


def test_the_json_says_so_too() -> None:
    view = FleetView(
        capacity={"spot": capacity(2, 2)},
        backlog={},
        hosts=[a_host("i-0", 1000.0 - SILENT_AFTER), a_host("i-1", 999.0 - SILENT_AFTER)],
        note=Note(),
        led=True,
        routes=routes_of(environment("spot", "m6i.large")),
        now=1000.0,
    )
    (shown,) = environment_objects(view)
    hosts = shown["hosts"]
    assert isinstance(hosts, list)
    assert [(host["id"], host["status"]) for host in hosts] == [("i-0", "running"), ("i-1", "silent")]


def test_the_table_says_of_a_host_whose_clock_is_ahead_what_it_reports(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert hosts_shown(capsys, a_host("i-0", 1300.0)) == [["i-0", "running"]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answer(port: int) -> dict[str, object]:
    """What /healthz says once it answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as reply:
                found: dict[str, object] = json.load(reply)
                return found
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.processes
def test_serve_answers_healthz_and_stops_when_told(desk: Desk) -> None:
    port = free_port()
    serving = desk.start("serve", "--listen", f"127.0.0.1:{port}")
    try:
        told = answer(port)
        assert (told["status"], told["trouble"]) == ("ok", "")
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(30) == 0
    finally:
        serving.kill()
        serving.communicate()


def test_an_address_without_a_port_is_refused(desk: Desk) -> None:
    result = desk.call("serve", "--listen", "8080")
    assert result.exit_code == 2
    assert "--listen: '8080' is not HOST:PORT" in result.stderr
