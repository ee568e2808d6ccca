"""The commands, on one machine whose settings have a section `emr`: real but for Amazon EMR itself, which is simulated
behind HTTP, and for its time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.simulation.services.emr_cluster import Cluster
from tests.batch.endpoint import Endpoint, serving
from tests.batch.worlds import on_batch
from tests.desk import Desk
from tests.emr.stage import Does

SETTINGS = """\
emr: {name: laptop, region: eu-west-1, log_uri: s3://logs/emr/, interval: 5s}
"""
JOB = """\
name: sessions
retries: 0
emr:
  release: emr-7.5.0
  main: m6i.xlarge
  steps:
    - {name: load, args: [load]}
    - {name: sum, command: [sum, up]}
"""
MINUTE = 60.0


class EmrDesk(Desk):
    """`step` is one of a supervisor that was just started."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        super().__init__(folder)
        self.endpoint = endpoint
        (folder / "runner.yaml").write_text(SETTINGS)
        (folder / "job.yaml").write_text(JOB)
        self.job = str(folder / "job.yaml")
        self.environment |= {**endpoint.environment, "RUNNER_CONFIG": str(folder / "runner.yaml")}

    def to_emr(self) -> str:
        return self.out("submit", self.job, "--output", "quiet").strip()

    @property
    def cluster(self) -> Cluster:
        (found,) = self.endpoint.emr.clusters.values()
        return found

    def steps(self, count: int, seconds: float = MINUTE) -> None:
        for _ in range(count):
            self.step()
            self.endpoint.pass_time(seconds)
        self.step()

    def to_the_end(self) -> None:
        """Of a cluster that begins now."""
        self.steps(2, 10 * MINUTE)

    def told(self, selector: str) -> dict[str, str]:
        found = self.json("explain", selector)["reasons"]
        return {reason["code"]: reason["text"] for reason in found}


@pytest.fixture
def does() -> Does:
    return Does(seconds=120.0)


@pytest.fixture
def desk(tmp_path: Path, does: Does, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrDesk]:
    with serving(on_batch, steps=does) as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield EmrDesk(tmp_path, endpoint)


def status_of(desk: EmrDesk, job_id: str) -> Any:
    (found,) = desk.json("status", job_id)
    return found


def test_a_job_is_submitted_and_runs_on_a_cluster_that_ends(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.to_the_end()
    assert status_of(desk, job_id)["status"] == "SUCCEEDED"
    assert desk.cluster.state == "TERMINATED"


def test_its_task_tells_steps_and_cost(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.to_the_end()
    (task,) = desk.json("tasks", job_id)
    text = json.dumps(task)
    assert desk.cluster.id in text
    assert "load COMPLETED" in text
    assert "estimated_cost_usd" in text


def test_explain_tells_the_cluster_while_it_comes_up(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.step()
    for selector in (job_id, f"{job_id}/0"):
        assert desk.told(selector)["emr_cluster"].startswith(f"The cluster {desk.cluster.id} is ")


def test_explain_tells_why_a_step_failed(desk: EmrDesk, does: Does) -> None:
    does.failing["load"] = 1
    job_id = desk.to_emr()
    desk.to_the_end()
    assert "load failed: load does not work" in desk.out("explain", job_id)


def test_logs_tell_where_they_lie(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.to_the_end()
    assert f"s3://logs/emr/{desk.cluster.id}/" in desk.out("logs", job_id)
    assert f"s3://logs/emr/{desk.cluster.id}/" in desk.out("logs", f"{job_id}/0")


def test_cancel_terminates_the_cluster(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.steps(2)
    desk.out("cancel", job_id)
    desk.steps(3)
    assert desk.cluster.code == "USER_REQUEST"
    assert status_of(desk, job_id)["status"] == "CANCELLED"


def test_retry_starts_another_cluster(desk: EmrDesk, does: Does) -> None:
    does.failing["load"] = 1
    job_id = desk.to_emr()
    desk.to_the_end()
    assert status_of(desk, job_id)["status"] == "FAILED"
    desk.out("retry", job_id, "--detach")
    desk.to_the_end()
    assert status_of(desk, job_id)["status"] == "SUCCEEDED"
    assert len(desk.endpoint.emr.clusters) == 2


def test_a_dry_run_starts_nothing_and_tells_the_steps(desk: EmrDesk) -> None:
    text = desk.out("submit", desk.job, "--dry-run")
    assert "emr-7.5.0" in text
    assert not desk.endpoint.emr.calls


def test_what_is_wrong_is_refused_with_file_line_and_key(desk: EmrDesk) -> None:
    Path(desk.job).write_text(JOB + "image: busybox\n")
    result = desk.call("submit", desk.job)
    assert result.exit_code == 2
    assert "job.yaml:9: image: has no effect with emr: leave it out" in result.stderr


def test_reproduce_says_that_it_is_for_a_cluster(desk: EmrDesk) -> None:
    job_id = desk.to_emr()
    desk.to_the_end()
    result = desk.call("reproduce", f"{job_id}/0", "--print")
    assert result.exit_code == 2
    assert "Amazon EMR" in result.stderr
