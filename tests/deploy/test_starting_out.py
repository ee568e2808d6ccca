"""`init`, and what the commands about AWS say where there is no fleet."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli.main import cli
from runner.configuration import load_settings


def types(folder: Path, *arguments: str, **environment: str) -> Result:
    given = {"RUNNER_HOME": str(folder / "home"), "AWS_REGION": "", "AWS_DEFAULT_REGION": "", **environment}
    return CliRunner(env=given).invoke(cli, arguments)


def test_what_init_writes_is_a_fleets_settings(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    assert types(tmp_path, "init", str(path), "--name", "genomes").exit_code == 0
    fleet = load_settings(path, {}, tmp_path).fleet
    assert fleet is not None
    assert (fleet.name, fleet.region) == ("genomes", "us-east-1")


def test_init_writes_settings_for_aws_batch_too(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    assert types(tmp_path, "init", str(path), "--name", "genomes", "--mode", "batch").exit_code == 0
    settings = load_settings(path, {}, tmp_path)
    assert settings.mode == "batch"
    assert settings.batch is not None
    # What tasks write there is kept nowhere else: not in the group that everybody's jobs write to.
    assert settings.batch.log_group == "/genomes/tasks"


def test_what_init_leaves_in_comments_is_right_too(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    types(tmp_path, "init", str(path))
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if "# large:" in line)
    lines[at : at + 4] = [line.replace("# ", "", 1) for line in lines[at : at + 4]]
    path.write_text("\n".join(lines))
    fleet = load_settings(path, {}, tmp_path).fleet
    assert fleet is not None
    assert "large" in fleet.environments


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    path.write_text("mode: embedded\n")
    refused = types(tmp_path, "init", str(path))
    assert refused.exit_code == 2
    assert "is there already" in refused.output
    assert path.read_text() == "mode: embedded\n"


def test_init_takes_the_shells_region(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    types(tmp_path, "init", str(path), AWS_REGION="eu-west-1")
    fleet = load_settings(path, {}, tmp_path).fleet
    assert fleet is not None
    assert fleet.region == "eu-west-1"


@pytest.mark.parametrize("name", ["A B", "x", "a: b", "-"])
def test_init_refuses_a_name_that_cannot_be_and_leaves_no_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "runner.yaml"
    assert types(tmp_path, "init", "--name", name, "--", str(path)).exit_code == 2
    assert not path.exists()


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_without_a_fleet_the_next_step_is_named(tmp_path: Path, command: str) -> None:
    path = tmp_path / "runner.yaml"
    path.write_text("mode: embedded\n")
    refused = types(tmp_path, "--config", str(path), command)
    assert refused.exit_code == 2
    assert "runner-controller init" in refused.output


def test_without_a_fleet_doctor_looks_at_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    path.write_text("mode: embedded\nengine: process\n")
    done = types(tmp_path, "--config", str(path), "doctor")
    assert done.exit_code == 0
    assert f"home {tmp_path / 'home'}" in done.output


def test_a_home_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    path = tmp_path / "runner.yaml"
    path.write_text("engine: process\n")
    done = types(tmp_path, "--config", str(path), "doctor", "--output", "quiet")
    assert (done.exit_code, done.output.splitlines()) == (1, [f"home {tmp_path / 'home'}"])


def test_on_one_machine_doctor_looks_at_the_services_that_jobs_may_run_on(tmp_path: Path) -> None:
    path = tmp_path / "runner.yaml"
    path.write_text(
        "mode: embedded\nengine: process\n"
        "batch: {name: laptop, region: us-east-1, queues: {default: {job_queue: theirs}}}\n"
    )
    without_credentials = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_PROFILE": "",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = types(tmp_path, "--config", str(path), "doctor", "--output", "quiet", **without_credentials)
    assert (done.exit_code, done.stdout) == (1, "credentials\n")
