"""What AWS Batch refuses, with the messages' sense as its API reference has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from controller.simulation.services.batch_job import Definition, Json
from controller.simulation.services.service import refused
from runner.aws import AwsError

MOST_PAYLOAD = 30 * 1024
MOST_DEFINITION = 24 * 1024
MOST_DESCRIBED = 100
ARRAY = range(2, 10_001)
SHORTEST_TIMEOUT = 60
# Characters of the overrides that Amazon ECS takes when AWS Batch runs a task there.
MOST_OVERRIDES = 8192

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_PATTERNS = {
    "onStatusReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
    "onReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
    "onExitCode": re.compile(r"[0-9]*\*?"),
}


def client_error(message: str) -> AwsError:
    return refused("ClientException", message)


def check_definition(given: Json) -> None:
    _check_name(given["jobDefinitionName"])
    if _size(given) > MOST_DEFINITION:
        raise client_error("Job definition exceeds the maximum size")
    definition = Definition("", 0, given)
    for container in definition.containers:
        _check_environment(container.get("environment") or ())
        _check_command(container.get("command"))
        _check_resources(container.get("resourceRequirements") or ())
    _check_strategy(given)


def check_submission(given: Json) -> None:
    _check_name(given["jobName"])
    if _size(given) > MOST_PAYLOAD:
        raise client_error("Job payload exceeds the maximum size")
    if "arrayProperties" in given and given["arrayProperties"]["size"] not in ARRAY:
        raise client_error("Array size must be between 2 and 10000")
    if len(given.get("dependsOn") or ()) > 20:
        raise client_error("Too many dependencies")
    for overrides in overrides_of(given):
        _check_environment(overrides.get("environment") or ())
        _check_command(overrides.get("command"))
    _check_strategy(given)


def check_described(ids: Sequence[str]) -> None:
    if not 1 <= len(ids) <= MOST_DESCRIBED:
        raise client_error(f"The number of jobs must be between 1 and {MOST_DESCRIBED}")


def overrides_of(given: Json) -> Iterator[Json]:
    if "containerOverrides" in given:
        yield given["containerOverrides"]
    for task in (given.get("ecsPropertiesOverride") or {}).get("taskProperties") or ():
        yield from task["containers"]


def overrides_length(definition: Definition, given: Json, env: Mapping[str, str]) -> int:
    """`env`: the main container's. Commands and variables are all passed as overrides, wherever they were given."""
    commands = {each.get("name"): each["command"] for each in overrides_of(given) if "command" in each}
    variables = [{"name": name, "value": value} for name, value in env.items()]
    containers = [
        {
            "name": each.get("name", "default"),
            "command": commands.get(each.get("name")) or each.get("command") or [],
            "environment": variables if each is definition.main else each.get("environment") or [],
        }
        for each in definition.containers
    ]
    return len(json.dumps({"containerOverrides": containers}, separators=(",", ":"), ensure_ascii=False))


def _size(given: Json) -> int:
    return len(json.dumps(given).encode())


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise client_error(f"{name}: illegal name")


def _check_environment(environment: Sequence[Json]) -> None:
    for variable in environment:
        if variable["name"].startswith("AWS_BATCH"):
            raise client_error("Environment variables cannot start with AWS_BATCH")


def _check_command(command: Sequence[str] | None) -> None:
    if command is not None and "" in command:
        raise client_error("Command must not contain an empty string")


def _check_resources(requirements: Sequence[Json]) -> None:
    for requirement in requirements:
        if requirement["type"] == "VCPU" and not requirement["value"].isdigit():
            raise client_error("vCPU must be a whole number on EC2")


def _check_strategy(given: Json) -> None:
    strategy, timeout = given.get("retryStrategy") or {}, given.get("timeout") or {}
    if not 1 <= strategy.get("attempts", 1) <= 10 or len(strategy.get("evaluateOnExit", ())) > 5:
        raise client_error("Retry attempts must be between 1 and 10, with up to 5 conditions")
    if timeout and timeout["attemptDurationSeconds"] < SHORTEST_TIMEOUT:
        raise client_error("Timeout attemptDurationSeconds must be at least 60")
    for condition in strategy.get("evaluateOnExit", ()):
        for key, pattern in _PATTERNS.items():
            if not pattern.fullmatch(condition.get(key, "")):
                raise client_error(f"{key}: illegal pattern")
