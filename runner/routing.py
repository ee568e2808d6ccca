"""Which channel carries a task, and who takes from it. Pure: all of it follows from the settings.

A message does not show what its task needs before it is received, so the need must be in the queue's name. A channel is
one SQS queue: `QUEUE.CLASS`, and `QUEUE.CLASS.od` for tasks that are kept off spot machines. A class is named after
its machine, `2x8` for 2 vCPUs and 8 GiB. A task goes to the smallest class of its queue that holds it, and a
machine takes from the channels of its own class only: so a large task never waits behind, or on, a machine that cannot
hold it, and small tasks never fill the large machines. In the embedded mode a channel is a queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.errors import NotFound
from runner.instances import GIB, InstanceType
from runner.model import Job
from runner.ports import Capacity
from runner.settings import AgentSettings, Environment, FleetSettings, Settings
from runner.wording import choices, shown

LOCAL = "local"

# What kernel and firmware keep of the advertised memory, at most. Small machines come near it.
HIDDEN_MEMORY = 0.075

# Machines that differ by less are of one class: the generations of a size are not all of quite the same memory.
SAME_CLASS = 1.1

ON_DEMAND_LANE = "od"


@dataclass(frozen=True, slots=True)
class ShapeClass:
    """A size of machine. `holds`: what tasks may use of the smallest one in it."""

    name: str
    holds: Capacity
    environments: tuple[str, ...]

    def fits(self, vcpus: float, memory: int) -> bool:
        return vcpus <= self.holds.vcpus and memory <= self.holds.memory


def usable(kind: InstanceType, agent: AgentSettings) -> Capacity:
    """What an agent on such a machine offers to tasks; a little less than it may turn out to be."""
    vcpus = kind.vcpus - agent.reserved_vcpus if agent.vcpus is None else min(agent.vcpus, kind.vcpus)
    visible = int(kind.memory * (1 - HIDDEN_MEMORY))
    memory = visible - agent.reserved_memory if agent.memory is None else min(agent.memory, visible)
    return Capacity(max(0.0, vcpus), max(0, memory))


def smallest(environment: Environment, agent: AgentSettings) -> Capacity:
    """What every machine of the environment offers, whichever of its types it turns out to be."""
    offers = [usable(kind, agent) for kind in environment.instance_types]
    return Capacity(min(each.vcpus for each in offers), min(each.memory for each in offers))


class Routes:
    """`fleet` None: the embedded mode."""

    def __init__(
        self, fleet: FleetSettings | None, agent: AgentSettings, queues: Mapping[str, int] | None = None
    ) -> None:
        self._fleet = fleet
        self._queues = queues or {}
        self._classes: dict[str, tuple[ShapeClass, ...]] = {}
        self._priorities: dict[str, int] = {}
        self._environments: dict[str, tuple[str, ...]] = {}
        self._queue_of: dict[str, str] = {}
        self._holds: dict[str, Capacity] = {}
        self._machines: dict[str, Capacity] = {}
        if fleet is None:
            for queue, priority in self._queues.items():
                self._add(queue, queue, priority, (LOCAL,))
            return
        self._machines = {name: smallest(each, agent) for name, each in fleet.environments.items()}
        for queue, of_queue in fleet.queues.items():
            own = [fleet.environments[name] for name in of_queue.environments]
            self._classes[queue] = tuple(_classes(own, agent))
            for shape in self._classes[queue]:
                self._add_class(fleet, queue, shape, of_queue.priority)

    @classmethod
    def of(cls, settings: Settings) -> Routes:
        fleet = settings.fleet
        if fleet is not None and settings.machines is None:
            fleet = replace(fleet, environments={}, queues={})  # none of its own
        return cls(fleet, settings.agent, settings.queues)

    @property
    def fleet(self) -> FleetSettings | None:
        return self._fleet

    @property
    def environments(self) -> Sequence[str]:
        return [LOCAL] if self._fleet is None else list(self._fleet.environments)

    def machine(self, environment: str) -> Capacity:
        """What tasks may use of the environment's smallest machine. Only of a fleet."""
        return self._machines[environment]

    def holds(self, channel: str) -> Capacity:
        """What a task on the channel may need at most. Only of a fleet."""
        return self._holds[channel]

    @property
    def channels(self) -> Mapping[str, int]:
        """Every channel with its priority: higher is served first."""
        return self._priorities

    def channel(self, job: Job, memory: int, infra_failures: int = 0) -> str:
        """Where a task of `job` goes whose next attempt may use `memory` bytes (its sidecars' come on top).

        After so many losses to the infrastructure as the settings say, the on-demand lane, if its class has one.
        A task that nothing holds, as after a change of settings, goes to the largest class, to be refused there.
        Raises NotFound if the queue is not in the settings.
        """
        if self._fleet is None:
            return job.queue
        shape = self._class_for(job, memory + job.sidecar_memory)
        channel = f"{job.queue}.{shape.name}"
        lane = f"{channel}.{ON_DEMAND_LANE}"
        lost = infra_failures >= self._fleet.on_demand_after
        return lane if lost and lane in self._priorities else channel

    def channels_of(self, environment: str) -> Mapping[str, int]:
        """What the environment's machines take from, with the priorities. Every channel in the embedded mode."""
        if self._fleet is None:
            return self._priorities
        return {
            channel: priority
            for channel, priority in self._priorities.items()
            if environment in self._environments[channel]
        }

    def channels_of_queue(self, queue: str) -> Sequence[str]:
        return [channel for channel, of in self._queue_of.items() if of == queue]

    def environments_of(self, channel: str) -> Sequence[str]:
        """Those that take from the channel, the queue's preferred first; none for a channel that is not in the
        settings."""
        return self._environments.get(channel, ())

    def queue_of(self, channel: str) -> str:
        return self._queue_of[channel]

    def offers(self, queue: str) -> Sequence[Capacity]:
        """What each class of machines that the queue has could hold, the smallest first."""
        return [shape.holds for shape in self._classes.get(queue, ())]

    def largest_memory(self, job: Job) -> int | None:
        """The most memory an attempt at a task of `job` may be given anywhere, sidecars' subtracted. None: not known
        from the settings."""
        fit = [held.memory for held in self.offers(job.queue) if held.vcpus >= job.limits.vcpus]
        return max(fit) - job.sidecar_memory if fit else None

    def _class_for(self, job: Job, memory: int) -> ShapeClass:
        classes = self._classes.get(job.queue)
        if not classes:
            message = f"unknown queue {shown(job.queue)}; {choices(job.queue, self._classes)}"
            raise NotFound(message)
        return next((shape for shape in classes if shape.fits(job.limits.vcpus, memory)), classes[-1])

    def _add_class(self, fleet: FleetSettings, queue: str, shape: ShapeClass, priority: int) -> None:
        channel = f"{queue}.{shape.name}"
        steady = tuple(name for name in shape.environments if fleet.environments[name].on_demand)
        # Doubled, so that there is a place between two priorities: what was lost before goes before its equals.
        self._add(channel, queue, 2 * priority, shape.environments)
        self._holds[channel] = shape.holds
        if steady:
            lane = f"{channel}.{ON_DEMAND_LANE}"
            self._add(lane, queue, 2 * priority + 1, steady)
            self._holds[lane] = shape.holds

    def _add(self, channel: str, queue: str, priority: int, environments: tuple[str, ...]) -> None:
        self._priorities[channel] = priority
        self._environments[channel] = environments
        self._queue_of[channel] = queue


def _classes(environments: Sequence[Environment], agent: AgentSettings) -> Iterator[ShapeClass]:
    """The environments by size, the smallest class first, those of one class in their given order."""
    sized = sorted(environments, key=lambda environment: _size(smallest(environment, agent)))
    while sized:
        held = smallest(sized[0], agent)
        alike = {each.name for each in sized if _alike(held, smallest(each, agent))}
        named = _named(sized[0])
        yield ShapeClass(named, held, tuple(each.name for each in environments if each.name in alike))
        sized = [each for each in sized if each.name not in alike]


def _alike(base: Capacity, other: Capacity) -> bool:
    return (
        base.vcpus <= other.vcpus <= SAME_CLASS * base.vcpus
        and base.memory <= other.memory <= SAME_CLASS * base.memory
    )


def _size(capacity: Capacity) -> tuple[float, float]:
    """By what such machines cost, roughly: in AWS's list prices a vCPU weighs about as much as 10 GiB."""
    return capacity.vcpus + capacity.memory / (10 * GIB), capacity.memory


def _named(environment: Environment) -> str:
    """After the least of its types; GiB in so many digits that different classes have different names, and that a
    terabyte is not written with an exponent, whose '+' SQS would not take."""
    vcpus = min(kind.vcpus for kind in environment.instance_types)
    memory = min(kind.memory for kind in environment.instance_types) / GIB
    return f"{vcpus}x{memory:g}".replace(".", "_")
