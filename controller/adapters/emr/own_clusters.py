"""Attempts that are a cluster of their own: started once, ended always.

Amazon EMR ends it after its last step, or the first that fails; we do when the job is cancelled or out of time, and
`strays` finds whatever else of ours still lives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from controller.adapters.emr import history
from controller.adapters.emr.costs import estimated_cost
from controller.adapters.emr.names import TAG, name_in
from controller.adapters.emr.outcomes import of_cluster
from controller.adapters.emr.recording import Recorder, task_of
from controller.adapters.emr.replies import LIVE, Cluster, Machine
from controller.adapters.emr.requests import cluster_request
from controller.adapters.emr.service import EmrService
from controller.adapters.emr.watch import Watch, over_time, stopped
from controller.adapters.managed.restraint import unless_throttled
from controller.adapters.managed.service import may_have_happened
from controller.faults import Faults
from controller.ports import Lead, Records
from runner.aws import AwsError, Trouble
from runner.emr_settings import EmrSettings
from runner.model import Kind, Outcome, Status
from runner.ports import Clock
from runner.records import JobRecord

log = structlog.get_logger()

# By how much Amazon EMR's clock may be before ours, in seconds.
SKEW = 900.0
# A limit's end by our clock and by Amazon EMR's.
ROUNDING = 5.0

Live = Mapping[str, Cluster]
"""Clusters of this installation that are not on their way down, by id."""


class OwnClusters:
    def __init__(
        self, service: EmrService, records: Records, recorder: Recorder, settings: EmrSettings, now: Clock
    ) -> None:
        self._service = service
        self._records = records
        self._recorder = recorder
        self._settings = settings
        self._now = now

    async def advance(self, record: JobRecord, watch: Watch, live: Live, lead: Lead) -> bool:
        """True: the attempt has come to its end. Raises AwsError, StorageError, and what `lead` raises."""
        if not watch.cluster:
            return await self._launch(record, watch, live, lead)
        cluster = live.get(watch.cluster) or await self._service.describe(watch.cluster)
        if cluster is None:
            return await self._unknown(record, watch)
        if cluster.over:
            await self._finish(record, watch, cluster)
            return True
        if cluster.state in LIVE and (
            record.ending is not None or over_time(record, self._elapsed(watch, cluster))
        ):
            await lead()
            await self._service.terminate([cluster.id])
        return False

    async def stop(self, watch: Watch) -> None:
        """Terminate what lives of the attempt. Raises AwsError."""
        live = await self._service.live(str(watch.name))
        ids = [each.id for each in live if each.name == str(watch.name)]
        if ids:
            await self._service.terminate(ids)

    async def _launch(self, record: JobRecord, watch: Watch, live: Live, lead: Lead) -> bool:
        """Start it, unless it was started; True: it cannot be, or need not be any more."""
        if watch.doubtful_since is not None and await self._found(watch, live):
            return False
        if not watch.settled:
            return False
        if record.ending is not None:
            outcome = Outcome(Kind.CANCELLED, reason=record.ending.reason)
            await self._recorder.finish(record.job, watch.attempt, outcome)
            return True
        await lead()
        try:
            watch.cluster = await self._service.run(
                cluster_request(record.job, watch.attempt, watch.name, self._settings)
            )
        except AwsError as error:
            return await self._not_launched(record, watch, error)
        log.info("cluster started", job=record.job.id, cluster=watch.cluster)
        await self._note(watch, self._now())
        return False

    async def _found(self, watch: Watch, live: Live) -> bool:
        """Whether it had been started, by us or whoever supervised before."""
        named = [each for each in live.values() if each.name == str(watch.name)]
        if not named:
            # It may have come to its end since. Ledger and Amazon EMR have clocks of their own.
            begun = await self._begun_at(watch)
            named = await self._service.named(str(watch.name), begun - SKEW)
        if not named:
            return False
        oldest = min(named, key=_age)
        watch.cluster = oldest.id
        await self._note(watch, oldest.created)
        return True

    async def _begun_at(self, watch: Watch) -> float:
        task = await self._records.task(watch.attempt.task)
        return self._now() if task is None or task.begun_at is None else task.begun_at

    async def _note(self, watch: Watch, asked_at: float) -> None:
        watch.asked_at, watch.doubtful_since = asked_at, None
        await self._recorder.annotate(watch.attempt, watch.notes)

    async def _not_launched(self, record: JobRecord, watch: Watch, error: AwsError) -> bool:
        """Refused as it was asked for, it will be again. Raises the error where another time may help."""
        if may_have_happened(error):
            watch.doubt()
        if error.trouble is not Trouble.REFUSED:
            raise error
        outcome = Outcome(Kind.START_ERROR, reason=f"Amazon EMR refused to start a cluster: {error}")
        await self._recorder.finish(record.job, watch.attempt, outcome)
        return True

    async def _unknown(self, record: JobRecord, watch: Watch) -> bool:
        if self._now() - (watch.asked_at or 0.0) < SKEW:  # it is not known at once
            return False
        outcome = Outcome(Kind.LOST, reason=f"Amazon EMR does not know the cluster {watch.cluster} any more")
        await self._recorder.finish(record.job, watch.attempt, outcome)
        return True

    def _elapsed(self, watch: Watch, cluster: Cluster) -> float:
        """Seconds since it was ready: what waits for machines has not used up anything."""
        if cluster.ready is None:
            return 0.0
        return watch.elapsed(self._now(), cluster.created, cluster.ready)

    async def _finish(self, record: JobRecord, watch: Watch, cluster: Cluster) -> None:
        steps = await self._service.steps(cluster.id)
        machines = await self._machines(cluster)
        ran = (cluster.ended or self._now()) - cluster.ready if cluster.ready is not None else 0.0
        latest = await self._recorder.latest(record)
        why = stopped(latest, watch, timed_out=over_time(record, ran + ROUNDING))
        outcome = of_cluster(cluster, steps, machines, why)
        cost = estimated_cost(machines, cluster.ended or self._now())
        emr = record.job.emr
        assert emr is not None
        outcome = replace(
            outcome,
            log=history.place_of(emr.logs or self._settings.log_uri, cluster.id),
            machine_type=emr.main.instance_type if emr.main else "",
            metadata={**history.of_cluster(cluster, cost), **history.of_steps(steps)},
        )
        log.info("cluster ended", job=record.job.id, cluster=cluster.id, outcome=str(outcome.kind))
        await self._recorder.finish(record.job, watch.attempt, outcome)

    async def _machines(self, cluster: Cluster) -> Sequence[Machine]:
        """What may not be learned never keeps an attempt from being recorded."""
        try:
            return await self._service.machines(cluster.id)
        except AwsError as error:
            if error.trouble not in (Trouble.DENIED, Trouble.REFUSED):
                raise  # another time it can be learned, and may tell who pays
            log.info("cannot learn what machines a cluster had", cluster=cluster.id, error=str(error))
            return ()

    async def end_strays(self, live: Live, watches: Collection[Watch], lead: Lead, faults: Faults) -> None:
        """Terminate what still lives though its attempt is over, or another is in its place. Raises what `lead` does,
        and AwsError when throttled."""
        watched = {str(watch.name): watch for watch in watches if watch.cluster}
        for cluster in live.values():
            instead = watched.get(cluster.name)
            if instead is not None and instead.cluster == cluster.id:
                continue
            with faults.passed_over("looking for clusters that nobody waits for", cluster=cluster.id):
                if await self._stray(cluster, live, instead):
                    await self._end_stray(cluster, instead, lead)
            unless_throttled(faults)

    async def _end_stray(self, cluster: Cluster, instead: Watch | None, lead: Lead) -> None:
        await lead()
        if instead is not None:  # whoever was frozen and started this one late has noted it since
            await self._recorder.annotate(instead.attempt, instead.notes)
        log.warning("terminating a cluster that nobody waits for", cluster=cluster.id)
        await self._service.terminate([cluster.id])

    async def _stray(self, cluster: Cluster, live: Live, instead: Watch | None) -> bool:
        """`instead`: the attempt with that name, if it has another cluster."""
        name = name_in(cluster.name)
        if name is None or name.installation != self._settings.name:
            return False
        record = await self._records.job(name.job_id)
        if record is None:  # another ledger's
            return False
        task = await self._records.task(task_of(record))
        if task is not None and task.status is Status.RUNNING and task.attempt == name.number:
            known = instead.cluster if instead else task.metadata.get(history.CLUSTER)
            twins = [each for each in live.values() if each.name == cluster.name]
            if cluster.id == (known or min(twins, key=_age).id):
                return False
        detail = await self._service.describe(cluster.id)
        tags = (detail.tags if detail else None) or {}
        return tags.get(TAG) == self._settings.name and tags.get("runner-job") == name.job_id


def _age(cluster: Cluster) -> tuple[float, str]:
    return cluster.created, cluster.id
