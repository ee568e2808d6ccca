"""`runner.yaml`, the environment, and the page about them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch_file import BatchQueueSection, BatchSection
from runner.configuration import load_settings
from runner.documents import parse
from runner.emr_file import EmrSection
from runner.errors import BadInput, Place
from runner.fleet_file import (
    DeploymentSection,
    EnvironmentSection,
    FleetSection,
    InstanceTypeSection,
    QueueSection,
)
from runner.schema import Section
from runner.settings import AgentSettings, Settings, SupervisorSettings
from runner.settings_file import AgentSection, SettingsFile, SupervisorSection
from runner.validation import validated
from runner.wording import dotted

PAGE = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
ROWS = {
    key: default.strip().strip("`")
    for key, default in re.findall(r"^\| `([a-z_.NAME]+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    if key != key.upper()  # a variable
}
# Keys that stand alone in a file; those of a fleet, of AWS Batch and of Amazon EMR need others beside them.
SIMPLE = {
    key: default
    for key, default in ROWS.items()
    if not key.startswith(("fleet.", "batch.", "emr.")) and "NAME" not in key
}
PLAIN: Mapping[str, str] = {}


def written(directory: Path, text: str, name: str = "runner.yaml") -> Path:
    (directory / name).write_text(text)
    return directory / name


def refused(directory: Path, text: str, environ: Mapping[str, str] = PLAIN) -> str:
    written(directory, text)
    with pytest.raises(BadInput) as error:
        load_settings(None, environ, directory)
    assert error.value.exit_code == 2
    return str(error.value)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(None, PLAIN, tmp_path) == Settings()


def test_without_a_file_neither_yaml_nor_pydantic_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runner.configuration import load_settings\n"
        f"load_settings(None, {{}}, Path({str(tmp_path)!r}))\n"
        "print(sorted({'yaml', 'pydantic', 'pydantic_core'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_file_in_the_current_directory_is_read(tmp_path: Path) -> None:
    written(tmp_path, "engine: process\n")
    settings = load_settings(None, PLAIN, tmp_path)
    assert (settings.engine, settings.source) == ("process", "runner.yaml")


def test_runner_config_goes_before_the_current_directory(tmp_path: Path) -> None:
    written(tmp_path, "engine: process\n")
    other = written(tmp_path, "engine: docker\n", "other.yaml")
    assert load_settings(None, {"RUNNER_CONFIG": str(other)}, tmp_path).engine == "docker"


def test_the_flag_goes_before_runner_config(tmp_path: Path) -> None:
    named = written(tmp_path, "engine: process\n", "named.yaml")
    settings = load_settings(named, {"RUNNER_CONFIG": str(tmp_path / "missing.yaml")}, tmp_path)
    assert settings.engine == "process"


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_named_file_that_is_missing_is_refused(tmp_path: Path, how: str) -> None:
    path = Path("missing.yaml") if how == "flag" else None
    environ = {"RUNNER_CONFIG": "missing.yaml"} if how == "variable" else {}
    with pytest.raises(BadInput, match=r"^missing\.yaml: cannot be read: No such file or directory$"):
        load_settings(path, environ, tmp_path)


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    written(tmp_path, "home: state\nengine: docker\ndocker_host: unix:///one.sock\n")
    environ = {"RUNNER_HOME": "/elsewhere", "RUNNER_ENGINE": "process", "DOCKER_HOST": "unix:///two.sock"}
    settings = load_settings(None, environ, tmp_path)
    assert (settings.home, settings.engine, settings.docker_host) == (
        Path("/elsewhere"),
        "process",
        "unix:///two.sock",
    )


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    environ = {"RUNNER_HOME": "", "RUNNER_ENGINE": "", "DOCKER_HOST": "", "RUNNER_CONFIG": ""}
    assert load_settings(None, environ, tmp_path) == Settings()


def test_a_relative_home_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = written(tmp_path / "etc", "home: state\n")
    assert load_settings(file, PLAIN, tmp_path).home == tmp_path / "etc" / "state"


def test_a_relative_runner_home_is_relative_to_the_current_directory(tmp_path: Path) -> None:
    assert load_settings(None, {"RUNNER_HOME": "state"}, tmp_path).home == tmp_path / "state"


def test_a_tilde_is_the_users_home(tmp_path: Path) -> None:
    assert load_settings(None, {"RUNNER_HOME": "~/state"}, tmp_path).home == Path.home() / "state"


def test_every_key_reaches_its_setting(tmp_path: Path) -> None:
    written(
        tmp_path,
        "queues: {default: 0, fast: 10}\n"
        "agent: {vcpus: 2, memory: 4GiB, lease: 1m, beat: 500ms, log_limit: 1MiB}\n"
        "supervisor: {interval: 1s, window: 10, max_agents: 3}\n",
    )
    settings = load_settings(None, PLAIN, tmp_path)
    assert settings.queues == {"default": 0, "fast": 10}
    assert settings.agent == AgentSettings(vcpus=2, memory=4 * 1024**3, lease=60, beat=0.5, log_limit=1024**2)
    assert settings.supervisor == SupervisorSettings(interval=1, window=10, max_agents=3)


def test_an_unknown_engine_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        load_settings(None, {"RUNNER_ENGINE": "dokcer"}, tmp_path)
    problem = "unknown engine 'dokcer'; did you mean 'docker'? allowed: auto, docker, process"
    assert str(error.value) == f"RUNNER_ENGINE: {problem}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode: flet", "runner.yaml:1: mode: unknown value 'flet'; did you mean 'fleet'?"),
        ("mode: fleet", "runner.yaml:1: mode: needs a section fleet: its name, region and environments"),
        ("supervisor: {listen: 8080}", "runner.yaml:1: supervisor.listen: '8080' is not allowed here; allowed: HOST"),
        ("engine: dockr", "runner.yaml:1: engine: unknown value 'dockr'; did you mean 'docker'?"),
        ("\nhoem: x", "runner.yaml:2: hoem: unknown key; did you mean 'home'? allowed: mode, home,"),
        ("agent:\n  beet: 1s", "runner.yaml:2: agent.beet: unknown key; did you mean 'beat'? allowed:"),
        ("agent: {beat: 10s}", "runner.yaml:1: agent.beat: must be at most 0.3 of lease"),
        ("agent: {lease: 6s}", "runner.yaml:1: agent.beat: must be at most 0.3 of lease"),
        ("supervisor: {interval: 5s}", "runner.yaml:1: supervisor.interval: must be less than half of lease"),
        ("supervisor:\n  max_agents: 0", "runner.yaml:2: supervisor.max_agents: 0 is out of bounds;"),
        ("agent: {vcpus: -1}", "runner.yaml:1: agent.vcpus: -1 is out of bounds; allowed: 0.01 to 1024"),
        ("agent: {vcpus: .nan}", "runner.yaml:1: agent.vcpus: must be a number, not '.nan'"),
        ("agent: {lease: 1:30}", "runner.yaml:1: agent.lease: '1:30' is not a duration"),
        ("agent: {memory: 1M}", "runner.yaml:1: agent.memory: '1M' could mean 1MiB or 1MB"),
        ("agent: 5", "runner.yaml:1: agent: must be a mapping of keys to values, not a number"),
        ("agent:", "runner.yaml:1: agent: must be a mapping of keys to values, not nothing"),
        ("queues: {}", "runner.yaml:1: queues: 1 to 100 queues, not 0"),
        ("queues: {a: high}", "runner.yaml:1: queues.a: must be a whole number, not 'high'"),
        ("queues: {../a: 1}", "runner.yaml:1: queues.../a: '../a' is not allowed here; allowed: letters"),
        ("docker_host: https://a:1", "runner.yaml:1: docker_host: 'https://a:1' is not allowed here"),
        ("docker_host: ssh://a", "runner.yaml:1: docker_host: 'ssh://a' is not allowed here; allowed: unix:///PATH"),
        ("home: ''", "runner.yaml:1: home: '' is not allowed here; allowed: not empty"),
        ("source: x", "runner.yaml:1: source: unknown key;"),
        ("", "runner.yaml: empty"),
        ("[]", "runner.yaml: must be a mapping of keys to values"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_by_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text).startswith(message)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, "engine: x\nmode: y\nagent: {lease: z}\n")
    assert [line.split(": ")[0] for line in told.splitlines()] == [
        "runner.yaml:1",
        "runner.yaml:2",
        "runner.yaml:3",
    ]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from([*SettingsFile.model_fields, *AgentSection.model_fields]) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_anything_is_settings_or_bad_input(data: dict[str, object]) -> None:
    told = ""
    try:
        validated(SettingsFile, data, lambda loc: Place(key=dotted(loc)))
    except BadInput as error:
        told = str(error)
    assert all(line.isprintable() for line in told.split("\n"))


@pytest.mark.parametrize(
    ("section", "settings"),
    [(AgentSection, AgentSettings), (SupervisorSection, SupervisorSettings)],
)
def test_the_keys_and_defaults_of_a_section_are_those_of_its_settings(
    section: type[Section], settings: type[AgentSettings] | type[SupervisorSettings]
) -> None:
    defaults = settings()
    assert section().model_dump() == {field.name: getattr(defaults, field.name) for field in fields(settings)}


def test_every_setting_has_a_key() -> None:
    assert set(SettingsFile.model_fields) == {field.name for field in fields(Settings)} - {"source"}


SECTIONS: Mapping[str, type[Section]] = {
    "agent": AgentSection,
    "supervisor": SupervisorSection,
    "queues.NAME": QueueSection,
    "batch": BatchSection,
    "batch.queues.NAME": BatchQueueSection,
    "emr": EmrSection,
    "fleet": FleetSection,
    "fleet.deployment": DeploymentSection,
    "fleet.environments.NAME": EnvironmentSection,
    "fleet.instance_types.NAME": InstanceTypeSection,
}


def test_the_page_documents_every_key_and_no_other() -> None:
    keys = set(SettingsFile.model_fields) - set(SECTIONS)
    keys |= {f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields}
    assert set(ROWS) == keys


@pytest.mark.parametrize("key", [key for key, default in SIMPLE.items() if default])
def test_a_documented_default_is_the_default(tmp_path: Path, key: str) -> None:
    *section, name = key.split(".")
    line = f"{name}: {ROWS[key]}"
    written(tmp_path, f"{section[0]}: {{{line}}}" if section else line)
    settings = load_settings(None, PLAIN, tmp_path)
    assert replace(settings, source=None) == Settings()


def test_a_key_without_a_documented_default_has_none() -> None:
    defaults = {
        **vars_of(Settings()),
        **vars_of(AgentSettings(), "agent."),
        **vars_of(SupervisorSettings(), "supervisor."),
    }
    assert [key for key, default in SIMPLE.items() if not default and defaults[key] is not None] == []


def vars_of(settings: Settings | AgentSettings | SupervisorSettings, prefix: str = "") -> dict[str, object]:
    return {prefix + field.name: getattr(settings, field.name) for field in fields(settings)}


def test_the_examples_on_the_page_are_right_and_have_every_key(tmp_path: Path) -> None:
    seen: set[str] = set()
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        written(tmp_path, example)
        load_settings(None, PLAIN, tmp_path)
        seen |= {dotted(loc) for loc in parse(example.encode(), "docs").lines}
    known = {
        re.sub(
            r"^(queues|batch\.queues|fleet\.environments|fleet\.instance_types)\.[^.]*(\.special)?\.",
            r"\1.NAME.",
            key,
        )
        for key in seen
    }
    assert set(ROWS) <= known


def test_the_page_names_every_variable() -> None:
    variables = {
        "RUNNER_CONFIG",
        "RUNNER_HOME",
        "RUNNER_ENGINE",
        "DOCKER_HOST",
        "RUNNER_ENVIRONMENT",
        "RUNNER_USER",
    }
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == variables
