"""A whole installation in virtual time: services, machines, controllers, and whoever submits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from controller import submission
from controller.admission import check_against
from controller.draft import draft_from, to_job
from controller.layers import argument
from controller.simulation.agent import Hardware, Site
from controller.simulation.clock import OUTSIDE, Process, now, outside
from controller.simulation.controller import Controller
from controller.simulation.docker import Daemon
from controller.simulation.faults import Fault
from controller.simulation.history import History
from controller.simulation.installation import Installation
from controller.simulation.machine import Machine
from controller.simulation.metadata import SimulatedMetadata
from controller.simulation.network import DirectAws, Network
from controller.simulation.registry import Registry
from controller.simulation.resources import groups, make_resources
from controller.simulation.services.autoscaling import Group, Member, SimulatedAutoScaling
from controller.simulation.services.dynamodb import DynamoDb
from controller.simulation.services.logs import SimulatedLogs
from controller.simulation.services.s3 import SimulatedS3
from controller.simulation.services.sqs import SimulatedSqs
from controller.simulation.watching import Watch
from controller.simulation.workload import Behave, steady
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.ec2.metadata import Identity
from runner.adapters.s3.manifests import S3Manifests
from runner.adapters.s3.reading import S3LogReader
from runner.model import Status
from runner.records import JobRecord
from runner.routing import Routes
from runner.settings import FleetSettings, Settings

SPOT_NOTICE = 120.0
LOOK, SELDOM = 1.0, 5.0


class World:
    """Make it inside a running `VirtualTimeLoop`; see `controller.simulation.play`.

    `machines`: every instance that ever was, by id. `records`, `logs`: what the ledger and S3 hold, read past all
    faults. `behave` says what containers do, `made_of` what else is put together of which parts. `skew`: by how many
    seconds the clocks of machines launched from now on may be wrong. `registry`: where they have images from.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        seed: int | str,
        behave: Behave | None = None,
        made_of: type[Installation] = Installation,
    ) -> None:
        assert settings.fleet is not None
        self.settings = settings
        self.fleet: FleetSettings = settings.fleet
        self.routes = Routes.of(settings)
        self.behave = behave or steady()
        self.skew = 0.0
        self.registry = Registry()
        self.history = History()
        self.machines: dict[str, Machine] = {}
        self.controllers: dict[str, Controller] = {}
        self.bucket = self.fleet.bucket or "bucket"
        self._seed = seed
        self._folder = folder
        self._ids = self.random("ids")
        self._boots = self.random("boots")
        self._make_services()
        self.of = made_of(
            settings, self.fleet, self.routes, self.bucket, self.network, self.history, self.random
        )
        for group in self.autoscaling.groups.values():
            self.autoscaling.settle(group)

    def random(self, name: str) -> Random:
        """A source of its own for each name, the same for the same seed."""
        return Random(f"{self._seed}/{name}")

    def _make_services(self) -> None:
        services: dict[str, Any] = {}
        self.network = Network(services, self.random("network"))
        self.watch = Watch(self.history, self.network)
        self.sqs = SimulatedSqs(now, watch=self.watch.message, random=self.random("sqs"))
        self.dynamodb = DynamoDb(now, self.random("dynamodb"))
        self.s3 = SimulatedS3(self.bucket)
        self.cloudwatch = SimulatedLogs(self.fleet.log_group or "group")
        self.autoscaling = SimulatedAutoScaling(
            *groups(self.fleet), watch=self._member_changed, wants=self.watch.desired
        )
        for service in (self.s3, self.cloudwatch, self.autoscaling):
            service.remembers = False
        services |= {
            "sqs": self.sqs,
            "dynamodb": self.dynamodb,
            "s3": self.s3,
            "logs": self.cloudwatch,
            "autoscaling": self.autoscaling,
        }
        make_resources(self.fleet, self.routes, self.sqs, self.dynamodb)
        self._watch_table()
        self.aws = DirectAws(services)
        self.records = DynamoRecords(
            Table(self.aws, self.fleet.table, lambda: 0.0), now, "observer", history=self.fleet.history
        )
        self.logs = S3LogReader(self.aws, self.bucket, now, None)

    def _watch_table(self) -> None:
        table = self.dynamodb._core.tables[self.fleet.table]
        put = table.put

        def watched(key: Any, stored: Any, *more: Any) -> None:
            before = table.get(key)
            put(key, stored, *more)
            self.watch.item(before.item if before else None, stored.item if stored else None)

        table.put = watched  # type: ignore[assignment,method-assign]

    # what people do

    async def submit(self, *, name: str = "job", **keys: Any) -> str:
        """As `runner-controller submit --detach`, with the job file's keys, by a process of its own. Returns the job's
        id. Raises as the command does."""
        return await self.submitting(name=name, **keys)[1]

    def submitting(self, *, name: str = "job", **keys: Any) -> tuple[Process, asyncio.Task[str]]:
        """The same, begun: for who wants to kill it."""
        job_id = "".join(self._ids.choice(submission.ALPHABET) for _ in range(submission.ID_LENGTH))
        process = Process(f"submit-{job_id}")
        given = {"name": name, "image": "busybox", "command": ["work"], **keys}
        self.history.add("submitted", job_id, name=name)
        return process, process.start(self._submit(process, job_id, given))

    async def _submit(self, process: Process, job_id: str, keys: Mapping[str, Any]) -> str:
        aws, random = self.of.aws(process), self.random(process.name)
        records = self.of.records(process, aws, random)
        queue = self.of.queue(process, aws, dict(self.routes.channels), random)
        draft = draft_from(None, keys, label=argument)
        offers = {name: self.routes.offers(name) for name in self.settings.queues}
        check_against(draft, offers, roles=True, processes=False)
        manifests = S3Manifests(aws, self.bucket)
        job = await to_job(draft, id=job_id, now=process.now, manifests=manifests, after=draft.after)
        led = (await self.of.ledger(process, aws, process.name, random).supervision()).led
        window = 0 if led else self.settings.supervisor.window
        stored = await submission.submit(records, queue, job, window, self.routes)
        await queue.close()
        return stored.record.job.id

    async def cancel(self, job_id: str) -> bool:
        return await submission.cancel(self.records, await self.job(job_id), now)

    async def retry(self, job_id: str) -> None:
        await submission.retry(self.records, await self.job(job_id), now, downstream=False)

    # what is run

    def start_controller(self, name: str = "controller", skew: float = 0.0) -> Controller:
        """One more, which may lead."""
        controller = Controller(self.of, name, skew)
        self.controllers[name] = controller
        outside(controller.start)
        return controller

    # what happens

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        """While the block lasts."""
        self.network.faults.append(fault)
        self.history.add("fault", fault)
        try:
            yield
        finally:
            self.network.faults.remove(fault)
            self.history.add("fault-over", fault)

    def reclaim(self, machine: Machine, notice: float = SPOT_NOTICE) -> None:
        """By EC2, as spot instances are."""
        self.history.add("reclaimed", machine.id, notice=notice)
        machine.site.metadata.announce_reclaim(notice)
        asyncio.get_running_loop().call_later(notice, self.lose, machine, context=OUTSIDE)

    def lose(self, machine: Machine) -> None:
        """It ends without a word; its group finds out and replaces it."""
        self.history.add("lost", machine.id)
        machine.power_off()
        self.autoscaling.lose(machine.id)

    def _member_changed(self, group: Group, member: Member) -> None:
        self.watch.member(group, member)
        if member.state == "Pending":
            self._launch(group, member)
            return
        machine = self.machines[member.id]
        if member.state in ("Terminating", "Terminating:Wait"):
            machine.site.metadata.announce_termination()
        elif member.state == "Terminated":
            machine.power_off()

    def _launch(self, group: Group, member: Member) -> None:
        environment = next(name for name in self.fleet.environments if self.fleet.group(name) == group.name)
        kinds = self.fleet.environments[environment].instance_types
        kind = kinds[self._boots.randrange(len(kinds))]
        random = self.random(member.id)
        skew = random.uniform(-self.skew, self.skew)
        folder = self._folder / member.id
        folder.mkdir()
        site = Site(
            of=self.of,
            environment=environment,
            identity=Identity(member.id, kind.name),
            hardware=Hardware(kind, self.settings.agent),
            metadata=SimulatedMetadata(),
            daemon=Daemon(member.id, self._behave, random, self.history, skew, self.registry),
            folder=folder,
            environ={},
        )
        machine = self.machines[member.id] = Machine(site, random, skew)
        machine.boot(self.fleet.boot * self._boots.uniform(0.8, 1.2))

    def _behave(self, spec: Any) -> Any:
        return self.behave(spec)

    # what is seen

    @property
    def alive(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.on]

    async def job(self, job_id: str) -> JobRecord:
        record = await self.records.job(job_id)
        assert record is not None, job_id
        return record

    async def until(self, holds: Callable[[], bool], limit: float = 3600.0, look: float = LOOK) -> None:
        """Raises TimeoutError after `limit` virtual seconds."""
        async with asyncio.timeout(limit):
            while not holds():  # noqa: ASYNC110 - looking costs no time here
                await asyncio.sleep(look)

    async def until_ended(self, job_id: str, limit: float = 7200.0) -> JobRecord:
        async with asyncio.timeout(limit):
            while not (record := await self.job(job_id)).status.terminal:  # noqa: ASYNC110 - as above
                await asyncio.sleep(SELDOM)
        return record

    async def until_empty(self, limit: float = 7200.0) -> None:
        """No machine beyond the environments' minimum is left."""
        groups = self.autoscaling.groups.values()
        await self.until(
            lambda: all(len(group.members) <= group.minimum for group in groups), limit, look=SELDOM
        )

    async def tasks(self, job_id: str) -> Mapping[int, Status]:
        found = await self.records.tasks(job_id, limit=100_000)
        return {task.task.index: task.status for task in found}
