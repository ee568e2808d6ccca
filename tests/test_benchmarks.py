"""The harness counts right, and the page on speed quotes nothing but what was kept."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness, tables
from benchmarks.counting import PATH, Counting
from benchmarks.emulator import Load, emulator, load_of
from benchmarks.fleet_installation import installation
from benchmarks.harness import Figure, Ratio, Result, Target
from runner.records import Counts

# What `benchmarks.scaling` keeps has a shape and tests of its own: `tests/scaling`.
RESULTS = sorted(path for path in harness.RESULTS.glob("*.json") if path.stem != "scaling")
MEASURED = re.compile(r"\d[\d,.]*\s?(?:[×%]|/s|a second|times|ms\b|MiB|MB\b|seconds\b)")

each_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)


def counting(calls: list[str], name: str) -> Callable[[], Awaitable[float]]:
    async def contender() -> float:
        calls.append(name)
        return float(len(calls))

    return contender


async def test_contenders_take_turns_in_every_round() -> None:
    calls: list[str] = []
    await harness.interleave({name: counting(calls, name) for name in "ab"}, rounds=3)
    assert calls == ["a", "b", "a", "b", "a", "b"]


async def test_samples_are_kept_in_the_order_of_rounds() -> None:
    calls: list[str] = []
    samples = await harness.interleave({name: counting(calls, name) for name in "ab"}, rounds=2)
    assert samples == {"a": (1.0, 3.0), "b": (2.0, 4.0)}


def test_a_ratio_is_taken_within_each_round() -> None:
    ratio = harness.ratio("g", {"ours": (10.0, 30.0), "theirs": (5.0, 10.0)}, "ours", "theirs")
    assert ratio.samples == (2.0, 3.0)


def test_a_spread_is_the_median_the_least_and_the_most() -> None:
    assert harness.spread([5.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 5.0}


@pytest.mark.parametrize(
    ("bound", "median", "reached"),
    [("at least", 2.2, True), ("at least", 2.19, False), ("at most", 2.0, True), ("at most", 2.01, False)],
)
def test_a_target_is_reached_by_the_median(bound: harness.Bound, median: float, reached: bool) -> None:
    ratio = Ratio("g", "r", (0.1, median, 99.0), Target(bound, 2.2 if bound == "at least" else 2.0))
    content = harness.document(Result("x", (), [ratio]), {})
    assert content["ratios"][0]["reached"] is reached


def test_a_kept_result_says_what_its_samples_say(tmp_path: Path) -> None:
    result = Result("x", [Figure("g", "f", "tasks/s", (1.0, 2.0, 6.0))])
    content = harness.load(harness.save(harness.document(result, {}), tmp_path))
    assert content["figures"][0] == {
        "group": "g",
        "name": "f",
        "unit": "tasks/s",
        "median": 2.0,
        "least": 1.0,
        "most": 6.0,
        "samples": [1.0, 2.0, 6.0],
    }


def test_only_what_stands_between_markers_is_replaced(tmp_path: Path) -> None:
    content = harness.document(Result("x", [Figure("g", "f", "s", (1.5,))]), {})
    harness.save(content, tmp_path)
    page = "before\n<!-- table: x figures -->\nold\n<!-- end -->\nafter\n"
    assert tables.render(page, tmp_path) == page.replace("old\n", tables.figures(content))


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.6, "1,235"), (2.1999, "2.2"), (0.01234, "0.0123"), (15.04, "15")]
)
def test_numbers_are_shown_by_three_digits(value: float, shown: str) -> None:
    assert tables.number(value) == shown


@pytest.mark.parametrize("path", tables.PAGES, ids=lambda path: path.stem)
def test_the_pages_show_what_the_result_files_say(path: Path) -> None:
    page = path.read_text()
    assert tables.render(page) == page


def test_every_result_is_on_a_page() -> None:
    shown = {
        name
        for path in tables.PAGES
        for _, name, part, _, _ in tables.BLOCK.findall(path.read_text())
        if part in ("figures", "beside")
    }
    assert shown >= {path.stem for path in RESULTS}


def test_conditions_of_one_kind_stand_side_by_side() -> None:
    figures = [
        Figure("day: 10", "tasks", "", (1.0,)),
        Figure("day: 20", "tasks", "", (2.0,)),
        Figure("day: 20", "time", "s", (3.0,)),
        Figure("step: 20", "time", "s", (1.0, 4.0, 5.0)),
    ]
    content = harness.document(Result("x", figures), {})
    assert tables.beside(content).splitlines() == [
        "| day | 10 | 20 |",
        "| --- | --- | --- |",
        "| tasks | 1 | 2 |",
        "| time, s |  | 3 |",
        "",
        "| step | 20 |",
        "| --- | --- |",
        "| time, s | 4 |",
    ]


def test_no_measured_number_stands_outside_the_tables() -> None:
    assert MEASURED.findall(tables.BLOCK.sub("", tables.PAGE.read_text())) == []


@each_result
def test_a_result_says_what_it_was_taken_on(path: Path) -> None:
    machine = json.loads(path.read_text())["machine"]
    assert {"cores", "processor", "memory_gib", "kernel", "docker", "python", "sqlite"} <= machine.keys()


@each_result
def test_medians_and_spreads_follow_from_the_samples(path: Path) -> None:
    content = harness.load(path)
    for entry in [*content["figures"], *content["ratios"]]:
        assert {key: entry[key] for key in ("median", "least", "most")} == harness.spread(entry["samples"])


@each_result
def test_whether_a_target_was_reached_follows_from_the_median(path: Path) -> None:
    for entry in harness.load(path)["ratios"]:
        target: dict[str, Any] | None = entry.get("target")
        if target is not None:
            assert entry["reached"] is Target(target["bound"], target["value"]).reached(entry["median"])


AUTHORIZATION = b"AWS4-HMAC-SHA256 Credential=test/20261121/eu-west-1/%s/aws4_request, SignedHeaders=host"


async def served(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def asked(server: Counting, path: str, *headers: tuple[bytes, bytes]) -> bytes:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": path, "headers": list(headers)}
    await server(scope, served, send)
    return bytes(sent[-1]["body"])


@pytest.mark.parametrize(
    ("service", "target", "counted"),
    [
        (b"sqs", b"AmazonSQS.SendMessageBatch", "sqs SendMessageBatch"),
        (b"dynamodb", b"DynamoDB_20120810.PutItem", "dynamodb PutItem"),
        (b"s3", b"", "s3 PUT"),
    ],
)
async def test_the_emulator_counts_requests_by_service_and_operation(
    service: bytes, target: bytes, counted: str
) -> None:
    server = Counting(served)
    for _ in range(2):
        await asked(server, "/", (b"authorization", AUTHORIZATION % service), (b"x-amz-target", target))
    assert json.loads(await asked(server, PATH))["requests"] == {counted: 2}


async def test_what_is_counted_is_answered_by_the_emulator() -> None:
    assert await asked(Counting(served), "/bucket/key") == b"/bucket/key"


def test_a_load_is_what_was_asked_since_and_nothing_else() -> None:
    before, after = Load({"sqs A": 2, "s3 GET": 1}, 1.0), Load({"sqs A": 5, "s3 GET": 1, "sqs B": 1}, 3.5)
    assert after.since(before) == Load({"sqs A": 3, "sqs B": 1}, 2.5)


def test_a_service_is_asked_what_all_of_its_operations_are() -> None:
    assert Load({"sqs A": 3, "sqs B": 1, "s3 GET": 7}, 0.0).of_service("sqs") == 4


@pytest.mark.processes
async def test_a_fleet_of_one_machine_runs_its_tasks_as_processes_with_a_record_each(tmp_path: Path) -> None:
    with emulator() as endpoint:
        async with installation(tmp_path / "home", endpoint, slots=2) as fleet:
            job = await fleet.fill(3)
            fleet.boot()
            await fleet.done(3)
            record = await fleet.parts.records.job(job.id)
            assert record is not None
            assert record.counts == Counts(succeeded=3)
        assert load_of(endpoint).of_service("dynamodb") >= 6
