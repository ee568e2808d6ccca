"""`simulate`: of a job file and of a trace, for people and for programs, and what it refuses."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.desk import Desk
from tests.scaling.test_swf import job

JOB = "name: reads\ncommand: [sh, -c, 'true']\narray: 40\nvcpus: 1\nmemory: 1GiB\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def jobfile(tmp_path: Path) -> str:
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    return str(file)


def test_a_job_is_told_for_each_market_and_maximum(desk: Desk, jobfile: str) -> None:
    found = desk.json("simulate", jobfile, "--seconds", "5m", "--max", "5,20")
    assert [each["id"] for each in found] == ["spot/5", "spot/20", "on_demand/5", "on_demand/20"]
    few, many = found[2:]
    assert few["machines"] == 5
    assert many["makespan"] < few["makespan"]
    assert few["dollars"] > 5 * 0.096 * 0.25


def test_the_table_says_what_it_costs_and_how_long_it_takes(desk: Desk, jobfile: str) -> None:
    shown = desk.out("simulate", jobfile, "--seconds", "5m", "--max", "5", "--market", "spot").splitlines()
    assert shown[0].split()[:4] == ["MARKET", "MAX", "COST", "MAKESPAN"]
    assert shown[1].split()[:2] == ["spot", "5"]
    assert shown[1].split()[2].startswith("$")


def test_it_says_which_prices_and_machines_it_took(desk: Desk, jobfile: str) -> None:
    said = desk.call("simulate", jobfile, "--seconds", "5m", "--max", "5").stderr
    assert "machines of type m6i.large are taken" in said
    assert "prices of us-east-1 as of" in said


def test_in_mode_batch_it_is_about_a_fleet_of_the_same_machines(tmp_path: Path, jobfile: str) -> None:
    desk = Desk(tmp_path)
    fleet = "{name: shards, region: us-east-1, environments: {small: {instance_types: [m6i.large]}}}"
    (tmp_path / "runner.yaml").write_text(f"mode: batch\nfleet: {fleet}\n")
    desk.environment["RUNNER_CONFIG"] = str(tmp_path / "runner.yaml")
    result = desk.call("simulate", jobfile, "--seconds", "5m", "--max", "5")
    assert result.exit_code == 0
    assert "AWS Batch decides by rules of its own" in result.stderr


def test_how_long_tasks_take_is_what_they_took_before(desk: Desk, jobfile: str) -> None:
    desk.submit("--name", "reads", "--array", "3")
    desk.work()
    said = desk.call("simulate", jobfile, "--max", "5").stderr
    assert "a task, from 3 tasks of " in said


def test_without_any_it_must_be_said(desk: Desk, jobfile: str) -> None:
    refused = desk.call("simulate", jobfile)
    assert refused.exit_code == 2
    assert "--seconds: no task of a job named 'reads' has ended here" in refused.stderr


def test_a_trace_is_played(desk: Desk, tmp_path: Path) -> None:
    trace = tmp_path / "day.swf.gz"
    trace.write_bytes(gzip.compress("\n".join([job(1, 0, 600, 4), job(2, 900, 60, 2)]).encode()))
    (found,) = desk.json("simulate", str(trace), "--max", "4", "--market", "on_demand")
    assert 960 < found["makespan"] < 1400


def test_of_large_work_each_figure_is_told_as_it_comes(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(JOB.replace("array: 40", "array: 20001"))
    told = desk.call("simulate", str(file), "--seconds", "1s", "--max", "1,2", "--market", "spot").stderr
    assert re.findall(r"(. of .): (spot, at most .): \$", told) == [
        ("1 of 2", "spot, at most 1"),
        ("2 of 2", "spot, at most 2"),
    ]


def test_the_fleet_is_drawn(desk: Desk, jobfile: str, tmp_path: Path) -> None:
    chart = tmp_path / "fleet.svg"
    desk.out("simulate", jobfile, "--seconds", "5m", "--max", "5,20", "--chart", str(chart))
    drawing = ElementTree.parse(chart).getroot()  # our own
    titles = [each.text for each in drawing if each.tag.endswith("text") and "at most" in (each.text or "")]
    assert len(titles) == 4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--max", "0"], "--max: numbers of machines from 1 to 5000"),
        (["--max", "ten"], "--max: numbers of machines"),
        (["--instance-type", "m6i.lagre"], "--instance-type: unknown instance type"),
        (["--chart", "fleet.png"], "--chart: a chart is an .svg file"),
        (["--prices", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--chart", "nowhere/fleet.svg"], "--chart: 'nowhere/fleet.svg' cannot be written"),
        (["--chart", "."], "--chart: a chart is an .svg file"),
        (["--seconds", "soon"], "--seconds: 'soon' is not a duration"),
        (["--seconds", "1000d"], "--seconds: '1000d' is out of bounds; allowed: 0s to 30d"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    desk: Desk, jobfile: str, arguments: list[str], problem: str
) -> None:
    given = arguments if "--seconds" in arguments else ["--seconds", "1m", *arguments]
    refused = desk.call("simulate", jobfile, *given)
    assert refused.exit_code == 2
    assert problem in refused.stderr


def test_clusters_of_amazon_emr_are_not_modelled(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "sessions.yaml"
    steps = "steps: [{name: load, args: [spark-submit, s3://code-of-ours/load.py]}]"
    file.write_text(f"name: sessions\nemr: {{release: emr-7.5.0, main: m6i.xlarge, {steps}}}\n")
    refused = desk.call("simulate", str(file), "--seconds", "5m")
    assert refused.exit_code == 2
    assert "emr: a cluster of Amazon EMR is not modelled" in refused.stderr


def test_a_file_that_is_not_there_is_refused(desk: Desk) -> None:
    refused = desk.call("simulate", "nowhere.yaml")
    assert refused.exit_code == 2
    assert "nowhere.yaml: cannot be read" in refused.stderr


def test_a_number_of_machines_that_is_given_twice_is_told_once(desk: Desk, jobfile: str) -> None:
    found = desk.json("simulate", jobfile, "--seconds", "5m", "--max", "5,5", "--market", "spot")
    assert [each["id"] for each in found] == ["spot/5"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cut.swf.gz", gzip.compress(job(1, 0, 600, 4).encode())[:-9], "cut.swf.gz: is damaged"),
        ("plain.swf.gz", job(1, 0, 600, 4).encode(), "plain.swf.gz: is damaged"),
        ("bare.swf", b"; only a comment", "bare.swf: no job in it ever ran"),
        ("other.swf", b"name: reads", "other.swf:1: not a job in the Standard Workload Format"),
    ],
)
def test_a_trace_that_is_none_is_refused(
    desk: Desk, tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    trace = tmp_path / name
    trace.write_bytes(content)
    refused = desk.call("simulate", str(trace))
    assert refused.exit_code == 2
    assert problem in refused.stderr


def test_a_trace_in_which_nothing_ran_is_refused(desk: Desk, tmp_path: Path) -> None:
    trace = tmp_path / "idle.swf"
    trace.write_text(job(1, 0, -1, 4))
    refused = desk.call("simulate", str(trace))
    assert refused.exit_code == 2
    assert "no job in it ever ran" in refused.stderr
