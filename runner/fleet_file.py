"""What `runner.yaml` may say of a fleet in the cloud: the section `fleet`, and how `queues` must go with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from runner.instances import KNOWN, InstanceType
from runner.schema import Section, checked, duration, flag, listed, number, one_of, size, text, whole
from runner.settings import (
    MARKETS,
    MIXED,
    ON_DEMAND,
    SPOT,
    Deployment,
    Environment,
    FleetSettings,
    QueueSettings,
)
from runner.wording import Loc, choices, shown

GIB = 1024**3
TIB = 1024**4
DAY = 86400.0

_ENVIRONMENT = Environment("", ())
_DEPLOYMENT = Deployment()
_FLEET = FleetSettings("", "", "", {}, {})

LETTERS = "letters, digits, '_' and '-', a letter or digit first"
Name = text(
    32, "[a-z][a-z0-9-]+[a-z0-9]", "3 to 32 small letters, digits and '-', a letter first and no '-' last"
)
Region = text(32, "[a-z]{2,4}(?:-[a-z]+)+-[0-9]+", "a region such as us-east-1")
TableName = text(255, "[A-Za-z0-9_.-]{3,255}", "3 to 255 letters, digits, '_', '.' and '-'")
BucketName = text(63, "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "3 to 63 small letters, digits, '.' and '-'")
LogGroupName = text(512, "[A-Za-z0-9_/.#-]+", "letters, digits, '_', '/', '.', '#' and '-'")
QueueName = text(64, "[A-Za-z0-9][A-Za-z0-9_-]*", LETTERS)
EnvironmentName = text(32, "[A-Za-z0-9][A-Za-z0-9_-]*", LETTERS)
TypeName = text(32, r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an EC2 instance type such as m6i.large")
Subnet = text(32, "subnet-[0-9a-z]{4,24}", "a subnet's id such as subnet-0123456789abcdef0")
Image = text(
    512, "ami-[0-9a-z]{4,24}|/[A-Za-z0-9_./-]+", "an AMI's id, or the name of an SSM parameter that holds one"
)
ContainerImage = text(512, "[A-Za-z0-9][A-Za-z0-9._:/@-]*", "an image's name")
Topic = text(512, "arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+", "an SNS topic's ARN")
Count = whole(0, 5000)

MAX_TYPES = 40  # what an Auto Scaling group takes
MAX_QUEUE_NAME = 80  # what SQS takes


class InstanceTypeSection(Section):
    """A type the built-in table lacks, or other figures for one it has."""

    vcpus: Annotated[int, checked(whole(1, 2048))] | None = None
    memory: Annotated[int, checked(size(GIB // 4, 64 * TIB))] | None = None
    price: Annotated[float, checked(number(0.0001, 1000))] | None = None

    def over(self, name: str) -> InstanceType | None:
        """The type, as built in or new. None: it is unknown and not all of it is given."""
        given = self.model_dump(exclude_none=True)
        if name in KNOWN:
            return replace(KNOWN[name], **given)
        return InstanceType(name, **given) if {"vcpus", "memory"} <= given.keys() else None


class EnvironmentSection(Section):
    instance_types: Annotated[list[str], checked(listed(TypeName, 1, MAX_TYPES))]
    market: Annotated[str, checked(one_of(MARKETS))] = _ENVIRONMENT.market
    on_demand_base: Annotated[int, checked(Count)] | None = None
    spot_percent: Annotated[int, checked(whole(0, 100))] | None = None
    disk: Annotated[int, checked(size(8 * GIB, 16 * TIB))] = _ENVIRONMENT.disk
    min: Annotated[int, checked(Count)] = _ENVIRONMENT.minimum
    max: Annotated[int, checked(whole(1, 5000))] = _ENVIRONMENT.maximum

    def wrong(self) -> Iterator[tuple[Loc, str]]:
        if self.min > self.max:
            yield ("min",), f"must not be more than max: {self.min} and {self.max}"
        for key in ("on_demand_base", "spot_percent"):
            if getattr(self, key) is not None and self.market != MIXED:
                yield (key,), f"is for market: mixed, and the market is {self.market}"
        if self.market == MIXED and self.on_demand_base is None and self.spot_percent is None:
            yield ("market",), "mixed needs on_demand_base or spot_percent"

    def environment(self, name: str, types: Mapping[str, InstanceType]) -> Environment:
        percent = {SPOT: 100, ON_DEMAND: 0}.get(self.market, _ENVIRONMENT.spot_percent)
        return Environment(
            name=name,
            instance_types=tuple(types[each] for each in self.instance_types),
            market=self.market,
            on_demand_base=self.on_demand_base or 0,
            spot_percent=percent if self.spot_percent is None else self.spot_percent,
            disk=self.disk,
            minimum=self.min,
            maximum=self.max,
        )


class QueueSection(Section):
    priority: Annotated[int, checked(whole(-1000, 1000))] = 0
    environments: Annotated[list[str], checked(listed(EnvironmentName, 0, 100))] | None = None


class DeploymentSection(Section):
    subnets: Annotated[list[str], checked(listed(Subnet, 1, 16))] | None = None
    public_ip: Annotated[bool, checked(flag)] = _DEPLOYMENT.public_ip
    image: Annotated[str, checked(Image)] = _DEPLOYMENT.image
    image_arm: Annotated[str, checked(Image)] = _DEPLOYMENT.image_arm
    pull: Annotated[list[str], checked(listed(ContainerImage, 0, 50))] | None = None
    controller: Annotated[str, checked(TypeName)] = _DEPLOYMENT.controller.name
    alarm_topic: Annotated[str, checked(Topic)] | None = None
    protect: Annotated[bool, checked(flag)] = _DEPLOYMENT.protect

    def deployment(self, controller: InstanceType) -> Deployment:
        given = self.model_dump(exclude={"subnets", "pull", "controller"})
        return Deployment(
            **given,
            subnets=tuple(self.subnets or ()),
            pull=tuple(self.pull or ()),
            controller=controller,
        )


Environments = dict[Annotated[str, checked(EnvironmentName)], EnvironmentSection]
InstanceTypes = dict[Annotated[str, checked(TypeName)], InstanceTypeSection]


class FleetSection(Section):
    name: Annotated[str, checked(Name)]
    region: Annotated[str, checked(Region)]
    table: Annotated[str, checked(TableName)] | None = None
    bucket: Annotated[str, checked(BucketName)] | None = None
    log_group: Annotated[str, checked(LogGroupName)] | None = None
    history: Annotated[float, checked(duration(DAY, 3650 * DAY))] | None = None
    ceiling: Annotated[float, checked(number(0.01, 1_000_000))] | None = None
    boot: Annotated[float, checked(duration(1, 3600))] = _FLEET.boot
    hour_of_waiting: Annotated[float, checked(number(0.01, 1_000_000))] = _FLEET.hour_of_waiting
    on_demand_after: Annotated[int, checked(whole(1, 100))] = _FLEET.on_demand_after
    instance_types: InstanceTypes | None = None
    deployment: DeploymentSection = DeploymentSection()
    environments: Environments

    def wrong(self, queues: Mapping[str, QueueSection]) -> Iterator[tuple[Loc, str]]:
        """Places are from the top of the file."""
        if not 1 <= len(self.environments) <= 50:
            yield ("fleet", "environments"), f"1 to 50 environments, not {len(self.environments)}"
        for name, section in self.environments.items():
            for loc, problem in (*section.wrong(), *self._type_problems(section)):
                yield ("fleet", "environments", name, *loc), problem
        for name, queue in queues.items():
            yield from self._queue_problems(name, queue)
        if self._type(self.deployment.controller) is None:
            problem = _unknown_type(self.deployment.controller)
            yield ("fleet", "deployment", "controller"), problem

    def _type_problems(self, section: EnvironmentSection) -> Iterator[tuple[Loc, str]]:
        found = {name: self._type(name) for name in section.instance_types}
        for at, (name, kind) in enumerate(found.items()):
            if kind is None:
                yield ("instance_types", at), _unknown_type(name)
            elif kind.price is None and self.ceiling is not None:
                problem = f"no price is known for {name}, and there is a ceiling; give it under fleet.instance_types"
                yield ("instance_types", at), problem
        if len({kind.arm for kind in found.values() if kind is not None}) > 1:
            yield ("instance_types",), "types with Arm and with x86 processors cannot share an image"

    def _queue_problems(self, name: str, queue: QueueSection) -> Iterator[tuple[Loc, str]]:
        known = ", ".join(self.environments)
        if not queue.environments:
            yield (
                ("queues", name),
                f"needs environments: which of them run its tasks, in order; there are {known}",
            )
        for at, environment in enumerate(queue.environments or ()):
            if environment not in self.environments:
                problem = (
                    f"unknown environment {shown(environment)}; {choices(environment, self.environments)}"
                )
                yield ("queues", name, "environments", at), problem

    def _type(self, name: str) -> InstanceType | None:
        return (self.instance_types or {}).get(name, InstanceTypeSection()).over(name)

    def settings(self, queues: Mapping[str, QueueSection]) -> FleetSettings:
        """Call only where nothing is wrong. Without `queues` there is one, served by every environment."""
        names = {name for section in self.environments.values() for name in section.instance_types}
        names.add(self.deployment.controller)
        types = {name: kind for name in names if (kind := self._type(name)) is not None}
        plain = self.model_dump(include=PLAIN)
        every = QueueSettings(environments=tuple(self.environments))
        return FleetSettings(
            **plain,
            table=self.table or self.name,
            deployment=self.deployment.deployment(types[self.deployment.controller]),
            environments={
                name: section.environment(name, types) for name, section in self.environments.items()
            },
            queues={
                name: QueueSettings(queue.priority, tuple(queue.environments or ()))
                for name, queue in queues.items()
            }
            or {"default": every},
        )


PLAIN = {
    "name",
    "region",
    "bucket",
    "log_group",
    "history",
    "ceiling",
    "boot",
    "hour_of_waiting",
    "on_demand_after",
}


def name_problems(fleet: FleetSettings, channels: Mapping[str, Sequence[str]]) -> Iterator[tuple[Loc, str]]:
    """Queues whose SQS queues would have names too long, or that others have: two channels may become one name when
    their '.' become '-'. `channels`: those of each queue."""
    owners = {fleet.dead_letters: "that of the dead letters"}
    for queue, own in channels.items():
        names = [fleet.queue_name(each) for each in own]
        longest = max(names, key=len)
        if len(longest) > MAX_QUEUE_NAME:
            problem = f"makes an SQS queue of {len(longest)} characters, {longest}; at most {MAX_QUEUE_NAME}"
            yield ("queues", queue), problem
        # No channel is named like its queue alone, but who sees both names would take one for the other.
        if fleet.queue_name(queue) == fleet.dead_letters:
            yield (
                ("queues", queue),
                f"is kept for the dead letters, {fleet.dead_letters}; choose another name",
            )
        for name in names:
            if name in owners:
                problem = f"makes an SQS queue {name}, which is {owners[name]}; choose another name"
                yield ("queues", queue), problem
            owners.setdefault(name, f"one of queue {shown(queue)}")


def _unknown_type(name: str) -> str:
    give = "give its vcpus and memory under fleet.instance_types"
    return f"unknown instance type {shown(name)}; {choices(name, _siblings(name))}; or {give}"


def _siblings(name: str) -> list[str]:
    """The known types of its family, or else one size of every family."""
    family = name.partition(".")[0]
    return [known for known in KNOWN if known.startswith(f"{family}.")] or [
        known for known in KNOWN if known.endswith(".large")
    ]
