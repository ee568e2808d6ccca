"""The key `emr` of a job file, the section of the settings, and the page about both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from controller.draft import JobDraft, draft_from
from controller.dry_run import job_keys
from controller.emr_file import (
    OF_OWN_CLUSTERS,
    WITHOUT_EFFECT,
    BootstrapSection,
    EmrSection,
    GroupSection,
    StepSection,
)
from controller.intake import checked_draft
from runner.codec import decode_job, encode_job
from runner.configuration import load_settings
from runner.emr import CONTINUE, Bootstrap, Emr, InstanceGroup, Step
from runner.emr_settings import EmrSettings
from runner.errors import BadInput
from runner.settings import Settings

PAGE = (Path(__file__).parent.parent.parent / "docs" / "emr.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
KEYS = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", PAGE, re.MULTILINE))

MINIMAL = """\
name: sessions
command: [go]
emr: {release: emr-7.5.0, main: m6i.xlarge}
"""
FULL = """\
name: sessions
env: {DAY: 2026-01-01}
timeout: 2h
retries: 2
emr:
  release: emr-7.5.0
  main: m6i.xlarge
  core: {type: m6i.2xlarge, count: 4, spot: true}
  task: {type: c6i.large, count: 8, spot: true, bid: 0.05}
  applications: [Spark, Hive]
  bootstrap: [s3://code/setup.sh, {path: s3://code/more.sh, args: [-v]}]
  logs: s3://logs/sessions/
  steps:
    - {name: load, args: [spark-submit, s3://code/load.py], on_failure: continue}
    - {name: sum, command: make sums}
    - {name: old, jar: s3://code/old.jar, args: [a, b]}
"""
MODE = """\
emr:
  name: laptop
  region: eu-west-1
"""


def drafted(directory: Path, text: str, **overrides: object) -> JobDraft:
    (directory / "job.yaml").write_text(text)
    return draft_from(Path("job.yaml"), overrides, cwd=directory)


def refused(directory: Path, text: str, **overrides: object) -> str:
    with pytest.raises(BadInput) as error:
        drafted(directory, text, **overrides)
    return str(error.value)


def load(directory: Path, text: str) -> Settings:
    (directory / "runner.yaml").write_text(text)
    return load_settings(None, {}, directory)


def test_a_small_file_needs_a_release_and_a_machine(tmp_path: Path) -> None:
    job = drafted(tmp_path, MINIMAL).job
    assert (job.backend, job.command) == ("emr", ("go",))
    assert job.emr == Emr(release="emr-7.5.0", main=InstanceGroup("m6i.xlarge"))


def test_every_key_has_its_place(tmp_path: Path) -> None:
    assert drafted(tmp_path, FULL).job.emr == Emr(
        release="emr-7.5.0",
        main=InstanceGroup("m6i.xlarge"),
        core=InstanceGroup("m6i.2xlarge", 4, spot=True),
        task=InstanceGroup("c6i.large", 8, spot=True, bid=0.05),
        applications=("Spark", "Hive"),
        bootstrap=(Bootstrap("s3://code/setup.sh"), Bootstrap("s3://code/more.sh", ("-v",))),
        logs="s3://logs/sessions/",
        steps=(
            Step("load", args=("spark-submit", "s3://code/load.py"), on_failure=CONTINUE),
            Step("sum", command=("sh", "-c", "make sums")),
            Step("old", args=("a", "b"), jar="s3://code/old.jar"),
        ),
    )


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_a_job_is_read_back_as_it_was_written(tmp_path: Path, text: str) -> None:
    job = drafted(tmp_path, text).job
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_a_dry_run_prints_a_job_file_that_means_the_same(tmp_path: Path, text: str) -> None:
    draft = drafted(tmp_path, text)
    assert drafted(tmp_path, yaml.safe_dump(job_keys(draft))).job == draft.job


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("emr: {main: m6i.xlarge}", "job.yaml:3: emr.release: missing"),
        ("emr: {release: emr-7.5.0}", "emr.main: missing"),
        ("emr: {release: 7.5.0, main: m6i.xlarge}", "emr.release: '7.5.0' is not allowed here"),
        ("emr: {release: emr-7.5.0, main: large}", "emr.main: 'large' is not allowed here"),
        ("emr: {release: emr-7.5.0, main: {type: m6i.xlarge, count: 2}}", "emr.main.count: must be 1"),
        ("emr: {release: emr-7.5.0, main: {type: m6i.xlarge, bid: 1}}", "emr.main.bid: is for spot: true"),
        (
            "emr: {release: emr-7.5.0, main: {type: m6i.xlarge, spot: true, bid: 0.0415}}",
            "emr.main.bid: 0.0415 dollars: Amazon EMR takes three decimal places at most",
        ),
        (
            "emr: {release: emr-7.5.0, main: {type: m6i.xlarge, spot: true, bid: 0.0004}}",
            "emr.main.bid: 0.0004 is out of bounds; allowed: 0.001",
        ),
        ("emr: {release: emr-7.5.0, main: m6i.xlarge, task: m6i.xlarge}", "emr.task: needs core"),
        ("emr: {release: emr-7.5.0, main: m6i.xlarge, slave: x}", "emr.slave: unknown key"),
        ("emr: {cluster: x}", "emr.cluster: 'x' is not allowed here"),
        ("emr: {cluster: j-ABC123, release: emr-7.5.0}", "emr.release: has no effect: j-ABC123 is there"),
        ("emr: {cluster: j-ABC123, steps: [{name: a, args: [b]}]}", "command: exactly one of command and"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, given: str, message: str) -> None:
    assert message in refused(tmp_path, f"name: a\ncommand: [go]\n{given}\n")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[{name: a}]", "emr.steps[0]: exactly one of command and args"),
        ("[{name: a, args: [b], command: c}]", "emr.steps[0]: exactly one of command and args"),
        ("[{name: 'a|b', args: [b]}]", "emr.steps[0].name: 'a|b' is not allowed here"),
        (
            "[{name: a, command: b, jar: s3://code/a.jar}]",
            "emr.steps[0].command: is run by command-runner.jar",
        ),
        ("[{name: a, args: [b], on_failure: stop}]", "emr.steps[0].on_failure: unknown value 'stop'"),
        ("[]", "command: exactly one of command and emr.steps must be given"),
    ],
)
def test_what_is_wrong_with_a_step_is_told_with_its_place(tmp_path: Path, steps: str, message: str) -> None:
    assert message in refused(tmp_path, f"name: a\nemr: {{cluster: j-ABC123, steps: {steps}}}\n")


VALUES = {
    "image": "busybox",
    "array": 5,
    "vcpus": 2,
    "memory": "1GiB",
    "grace": "10s",
    "pids": 5,
    "queue": "default",
    "max_parallel": 2,
    "mounts": ["/a:/b"],
    "secrets": {"A": {"env": "A"}},
    "sidecars": [{"name": "a", "image": "b"}],
    "role": "arn:aws:iam::111122223333:role/a",
}


@pytest.mark.parametrize("key", WITHOUT_EFFECT)
def test_what_means_nothing_to_a_cluster_is_refused(tmp_path: Path, key: str) -> None:
    text = refused(tmp_path, MINIMAL + yaml.safe_dump({key: VALUES[key]}))
    assert f"{key}: has no effect with emr" in text


def test_another_backend_is_refused(tmp_path: Path) -> None:
    assert "backend: is emr for a job with the key emr" in refused(tmp_path, MINIMAL + "backend: batch\n")


def test_without_a_section_in_the_settings_a_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(MINIMAL)
    with pytest.raises(BadInput, match=r"job.yaml:[0-9]+: emr: the settings have no section emr"):
        checked_draft(Settings(), tmp_path / "job.yaml", {})


def test_with_it_the_job_is_taken(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(FULL)
    settings = Settings(emr=EmrSettings("laptop", "eu-west-1"))
    assert checked_draft(settings, tmp_path / "job.yaml", {}).job.backend == "emr"


def test_the_backend_without_the_key_is_refused(tmp_path: Path) -> None:
    settings = Settings(emr=EmrSettings("laptop", "eu-west-1"))
    with pytest.raises(BadInput, match="is for a job with the key emr"):
        checked_draft(settings, None, {"name": "a", "command": ["b"], "backend": "emr"})


def test_a_step_that_is_too_long_for_amazon_emr_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(MINIMAL)
    settings = Settings(emr=EmrSettings("laptop", "eu-west-1"))
    with pytest.raises(BadInput, match=r"command: .* Amazon EMR takes 10,240 in a step"):
        checked_draft(settings, tmp_path / "job.yaml", {"env": {"A": "x" * 10_000}})


def test_control_characters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(MINIMAL)
    settings = Settings(emr=EmrSettings("laptop", "eu-west-1"))
    with pytest.raises(BadInput, match="no control characters"):
        checked_draft(settings, tmp_path / "job.yaml", {"env": {"A": "\x1b[31m"}})


@pytest.mark.parametrize(
    ("emr", "key"),
    [
        ({"bootstrap": ["s3://code/a\x01.sh"]}, r"emr\.bootstrap\[0\]"),
        ({"bootstrap": [{"path": "s3://code/a.sh", "args": ["\x01"]}]}, r"emr\.bootstrap\[0\]"),
        ({"steps": [{"name": "a", "args": [], "jar": "/a\x01.jar"}]}, r"emr\.steps\[0\]"),
        ({"steps": [{"name": "a\ufffe", "args": []}]}, r"emr\.steps\[0\]"),
    ],
)
def test_control_characters_are_refused_wherever_they_stand(
    tmp_path: Path, emr: dict[str, object], key: str
) -> None:
    given = {"release": "emr-7.5.0", "main": "m6i.xlarge", "steps": [{"name": "a", "args": []}], **emr}
    (tmp_path / "job.yaml").write_text(json.dumps({"name": "a", "emr": given}))
    settings = Settings(emr=EmrSettings("laptop", "eu-west-1"))
    with pytest.raises(BadInput, match=f"{key}: Amazon EMR takes no control characters"):
        checked_draft(settings, tmp_path / "job.yaml", {})


def test_the_settings_of_one_machine_name_installation_and_region(tmp_path: Path) -> None:
    assert load(tmp_path, MODE).emr == EmrSettings("laptop", "eu-west-1")


@pytest.mark.parametrize("key", ["name", "region"])
def test_without_one_of_them_they_are_refused(tmp_path: Path, key: str) -> None:
    text = "\n".join(line for line in MODE.splitlines() if key not in line)
    with pytest.raises(BadInput, match=f"needs {key} in mode embedded"):
        load(tmp_path, text)


def test_in_a_fleet_they_are_the_fleets(tmp_path: Path) -> None:
    fleet = "mode: fleet\nfleet: {name: shards, region: us-east-1, environments: {a: {instance_types: [m6i.large]}}}\n"
    found = load(tmp_path, fleet + "emr: {subnet: subnet-01234567, log_uri: s3://logs/emr/}\n").emr
    assert found == EmrSettings("shards", "us-east-1", subnet="subnet-01234567", log_uri="s3://logs/emr/")
    with pytest.raises(BadInput, match=r"emr.region: is fleet.region in this mode"):
        load(tmp_path, fleet + "emr: {region: us-east-1}\n")


def test_of_two_regions_one_is_refused(tmp_path: Path) -> None:
    batch = "batch: {name: laptop, region: us-east-1, queues: {default: {job_queue: a}}}\n"
    with pytest.raises(BadInput, match=r"emr.region: must be batch.region"):
        load(tmp_path, MODE + batch)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_pages_job_files_are_right(tmp_path: Path, example: str) -> None:
    assert drafted(tmp_path, example).job.emr is not None


def test_the_page_names_every_key_and_no_other() -> None:
    job = {f"emr.{key}" for key in EmrSection.model_fields}
    job |= {f"emr.core.{key}" for key in GroupSection.model_fields}
    job |= {f"emr.steps[].{key}" for key in StepSection.model_fields}
    job |= {f"emr.bootstrap[].{key}" for key in BootstrapSection.model_fields}
    assert job == KEYS
    assert set(OF_OWN_CLUSTERS) <= set(EmrSection.model_fields)
