"""What a job file may say of Amazon EMR: the key `emr`, and what goes with it. See `docs/emr.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from controller.jobfile import Command, JobFile, Text
from runner.emr import COMMAND_RUNNER, ON_FAILURE, TERMINATE, Bootstrap, Emr, InstanceGroup, Step
from runner.emr_file import S3Place
from runner.fleet_file import TypeName
from runner.model import EMR
from runner.schema import Section, checked, flag, number, one_of, shorthand, text, whole
from runner.wording import Loc

MOST_STEPS = 256
MOST_BOOTSTRAPS = 16

Release = text(64, r"emr-[0-9]+\.[0-9]+\.[0-9]+(?:-[A-Za-z0-9.]+)?", "a release such as emr-7.5.0")
ClusterId = text(64, "j-[A-Z0-9]{3,40}", "a cluster's id such as j-2AXXXXXXGAPLF")
ApplicationName = text(64, "[A-Za-z][A-Za-z0-9-]*", "an application's name such as Spark")
# Amazon EMR refuses the others in names.
StepName = text(128, r"[^<>$|`\x00-\x1f\x7f]+", "no control characters, and none of < > $ | `")
Object = text(1024, r"s3://[^\s/]+/\S+", "an object in S3: s3://BUCKET/KEY")
Jar = text(
    1024, r"s3://[^\s/]+/\S+|/\S+|[A-Za-z0-9._-]+\.jar", "a JAR file: s3://BUCKET/KEY, or on the main node"
)

# Keys of a job that mean nothing to a cluster.
WITHOUT_EFFECT = (
    *("image", "array", "vcpus", "memory", "grace", "pids", "queue", "max_parallel"),
    *("mounts", "secrets", "sidecars", "role"),
)
OF_OWN_CLUSTERS = ("release", "main", "core", "task", "applications", "bootstrap", "logs")


def _type_only(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class GroupSection(Section):
    type: Annotated[str, checked(TypeName)]
    count: Annotated[int, checked(whole(1, 2000))] = 1
    spot: Annotated[bool, checked(flag)] = False
    bid: Annotated[float, checked(number(0.001, 1000))] | None = None

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if self.bid is not None and not self.spot:
            yield ("bid",), "is for spot: true"
        if self.bid is not None and self.bid != round(self.bid, 3):
            yield ("bid",), f"{self.bid:g} dollars: Amazon EMR takes three decimal places at most"

    def group(self) -> InstanceGroup:
        return InstanceGroup(self.type, self.count, self.spot, self.bid)


class StepSection(Section):
    name: Annotated[str, checked(StepName)]
    command: Command | None = None
    args: list[Text] | None = None
    jar: Annotated[str, checked(Jar)] = COMMAND_RUNNER
    on_failure: Annotated[str, checked(one_of(ON_FAILURE))] = TERMINATE

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if (self.command is None) == (self.args is None):
            yield (), "exactly one of command and args must be given"
        if self.command is not None and not (self.command and self.command[0]):
            yield ("command",), "must name a program"
        if self.command is not None and self.jar != COMMAND_RUNNER:
            yield ("command",), f"is run by {COMMAND_RUNNER}; what another jar is to be told stands in args"

    def step(self) -> Step:
        return Step(self.name, tuple(self.command or ()), tuple(self.args or ()), self.jar, self.on_failure)


class BootstrapSection(Section):
    path: Annotated[str, checked(Object)]
    args: list[Text] = Field(default_factory=list)


def _path_only(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Group = Annotated[GroupSection, shorthand(_type_only)]


class EmrSection(Section):
    release: Annotated[str, checked(Release)] | None = None
    main: Group | None = None
    core: Group | None = None
    task: Group | None = None
    applications: list[Annotated[str, checked(ApplicationName)]] = Field(default_factory=list, max_length=50)
    bootstrap: list[Annotated[BootstrapSection, shorthand(_path_only)]] = Field(
        default_factory=list, max_length=MOST_BOOTSTRAPS
    )
    steps: list[StepSection] = Field(default_factory=list, max_length=MOST_STEPS)
    logs: Annotated[str, checked(S3Place)] | None = None
    cluster: Annotated[str, checked(ClusterId)] | None = None

    def problems(self) -> Iterator[tuple[Loc, str]]:
        yield from self._cluster_problems()
        for key in ("main", "core", "task"):
            group: GroupSection | None = getattr(self, key)
            if group is not None:
                yield from (((key, *loc), problem) for loc, problem in group.problems())
        if self.main is not None and self.main.count != 1:
            yield ("main", "count"), "must be 1: several are for clusters that live on"
        if self.task is not None and self.core is None:
            yield ("task",), "needs core: task machines keep no data"
        for at, step in enumerate(self.steps):
            yield from ((("steps", at, *loc), problem) for loc, problem in step.problems())

    def _cluster_problems(self) -> Iterator[tuple[Loc, str]]:
        if self.cluster is None:
            for key in ("release", "main"):
                if getattr(self, key) is None:
                    yield (
                        (key,),
                        "missing: needed for a cluster of its own (or name one that is there: cluster)",
                    )
            return
        for key in OF_OWN_CLUSTERS:
            if key in self.model_fields_set:
                yield (key,), f"has no effect: {self.cluster} is there as it is"

    def emr(self) -> Emr:
        return Emr(
            release=self.release or "",
            main=self.main.group() if self.main else None,
            core=self.core.group() if self.core else None,
            task=self.task.group() if self.task else None,
            applications=tuple(self.applications),
            bootstrap=tuple(Bootstrap(one.path, tuple(one.args)) for one in self.bootstrap),
            steps=tuple(step.step() for step in self.steps),
            logs=self.logs or "",
            cluster=self.cluster or "",
        )


class EmrJobFile(JobFile):
    """With the key `emr`: its steps may stand for the command, and nothing about containers means anything."""

    command: Command = Field(default_factory=list)
    emr: EmrSection

    def problems(self) -> Iterator[tuple[Loc, str]]:
        for loc, problem in super().problems():
            if loc != ("command",) or self.command:
                yield loc, problem
        if bool(self.command) == bool(self.emr.steps):
            yield ("command",), "exactly one of command and emr.steps must be given"
        if self.backend not in (None, EMR):
            yield ("backend",), f"is {EMR} for a job with the key emr; leave it out"
        for key in WITHOUT_EFFECT:
            if key in self.model_fields_set:
                yield (key,), "has no effect with emr: leave it out"
        yield from ((("emr", *loc), problem) for loc, problem in self.emr.problems())


def job_file_of(data: Mapping[str, object]) -> type[JobFile]:
    """What the data are to be held to."""
    return EmrJobFile if "emr" in data else JobFile


def emr_keys(emr: Emr) -> dict[str, object]:
    """As a job file that means the same has it."""
    groups = {key: _group_keys(group) for key in ("main", "core", "task") if (group := getattr(emr, key))}
    given = {
        "cluster": emr.cluster,
        "release": emr.release,
        **groups,
        "applications": list(emr.applications),
        "bootstrap": [{"path": one.path, "args": list(one.args)} for one in emr.bootstrap],
        "logs": emr.logs,
        "steps": [_step_keys(step) for step in emr.steps],
    }
    return {key: value for key, value in given.items() if value}


def _group_keys(group: InstanceGroup) -> dict[str, object]:
    bid = {} if group.bid is None else {"bid": group.bid}
    return {"type": group.instance_type, "count": group.count, "spot": group.spot, **bid}


def _step_keys(step: Step) -> dict[str, object]:
    does = {"command": list(step.command)} if step.command else {"args": list(step.args), "jar": step.jar}
    return {"name": step.name, **does, "on_failure": step.on_failure}
