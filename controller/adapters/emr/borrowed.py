"""Attempts that are steps on a cluster that is there already, and that is never ended by us.

Steps are added one after the other, each once the one before has ended: the cluster may run several at once, and has
no way to drop ours after a failure without dropping others' too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from controller.adapters.emr import history
from controller.adapters.emr.names import position_in
from controller.adapters.emr.outcomes import of_failed_step, of_steps, when_stopped
from controller.adapters.emr.own_clusters import SKEW
from controller.adapters.emr.recording import Recorder
from controller.adapters.emr.replies import StepStatus
from controller.adapters.emr.requests import step_request, steps_of
from controller.adapters.emr.service import EmrService
from controller.adapters.emr.watch import Watch, over_time, stopped
from controller.adapters.managed.restraint import unless_throttled
from controller.adapters.managed.service import may_have_happened
from controller.faults import Faults
from controller.ports import Lead
from runner.aws import AwsError, Trouble
from runner.emr import CONTINUE, Emr
from runner.emr_settings import EmrSettings
from runner.model import Kind, Outcome
from runner.ports import Clock
from runner.records import JobRecord

log = structlog.get_logger()

# Of 256 steps that wait or run there, whosever they are. There is no code for it.
FULL = "Maximum number of active steps"

Listing = Mapping[str, Sequence[StepStatus]]
"""By cluster, the steps of late, the oldest first."""


class Borrowed:
    def __init__(self, service: EmrService, recorder: Recorder, settings: EmrSettings, now: Clock) -> None:
        self._service = service
        self._recorder = recorder
        self._settings = settings
        self._now = now

    async def listing(self, since: Mapping[str, float], faults: Faults) -> Listing:
        """`since`: by cluster, how far back. Without those that cannot be asked. Raises AwsError when throttled."""
        found: dict[str, Sequence[StepStatus]] = {}
        for cluster_id, at in since.items():
            with faults.passed_over("listing steps", cluster=cluster_id):
                found[cluster_id] = await self._service.steps(cluster_id, at - SKEW)
            unless_throttled(faults)
        return found

    async def advance(self, record: JobRecord, watch: Watch, listing: Listing, lead: Lead) -> bool:
        """True: the attempt has come to its end. Raises AwsError, StorageError, and what `lead` raises."""
        watch.cluster = _emr(record).cluster
        if watch.cluster not in listing:
            return False
        steps = await self._own(watch, listing[watch.cluster], lead)
        unseen = [at for at in watch.added if at > len(steps)]
        if unseen:
            return False
        if steps and steps[-1].waits:
            await self._stop(record, watch, steps, lead)
            return False
        outcome = await self._outcome(record, watch, steps)
        if outcome is not None:
            await self._finish(record, watch, outcome, steps)
            return True
        return await self._add(record, watch, steps, lead)

    async def stop(self, record: JobRecord, watch: Watch) -> None:
        """Cancel what goes on of the attempt. Raises AwsError."""
        cluster_id = _emr(record).cluster
        steps = await self._service.steps(cluster_id, record.job.created_at - SKEW)
        ids = [
            each.id
            for each in steps
            if position_in(watch.name, each.name) is not None and each.state in ("PENDING", "RUNNING")
        ]
        if ids:
            await self._service.cancel(cluster_id, ids)

    async def _own(self, watch: Watch, steps: Sequence[StepStatus], lead: Lead) -> list[StepStatus]:
        """The attempt's, in order. Of two for one position, which nobody wanted, the older one stands."""
        found: dict[int, StepStatus] = {}
        for step in steps:
            position = position_in(watch.name, step.name)
            if position is None:
                continue
            if position not in found:
                found[position] = step
            elif step.state in ("PENDING", "RUNNING"):
                await lead()
                await self._service.cancel(watch.cluster, [step.id])
        return [found[position] for position in sorted(found)]

    async def _stop(self, record: JobRecord, watch: Watch, steps: Sequence[StepStatus], lead: Lead) -> None:
        last = steps[-1]
        if last.state != "CANCEL_PENDING" and (
            record.ending is not None or self._timed_out(record, watch, steps)
        ):
            await lead()
            await self._service.cancel(watch.cluster, [last.id])

    def _timed_out(self, record: JobRecord, watch: Watch, steps: Sequence[StepStatus]) -> bool:
        """From the first step's start: what waits for others' steps has not used up anything."""
        if not steps or steps[0].started is None:
            return False
        return over_time(record, watch.elapsed(self._now(), steps[0].created, steps[0].started))

    async def _outcome(self, record: JobRecord, watch: Watch, steps: Sequence[StepStatus]) -> Outcome | None:
        """None: there are more steps to come."""
        if not steps:
            return None
        plan = steps_of(record.job)
        last = steps[-1]
        if last.state == "FAILED" and plan[len(steps) - 1].on_failure != CONTINUE:
            return of_failed_step(last, steps)
        if last.state == "CANCELLED" and await self._gone(watch):
            return Outcome(Kind.LOST, reason=f"the cluster {watch.cluster} was terminated")
        latest = await self._recorder.latest(record)
        why = stopped(latest, watch, timed_out=self._timed_out(record, watch, steps))
        return of_steps(steps, len(plan), why)

    async def _gone(self, watch: Watch) -> bool:
        cluster = await self._service.describe(watch.cluster)
        return cluster is None or cluster.over or cluster.state == "TERMINATING"

    async def _add(self, record: JobRecord, watch: Watch, steps: Sequence[StepStatus], lead: Lead) -> bool:
        """The next one, unless it is not to be; True: the attempt ends with that."""
        if not watch.settled:
            return False
        timed_out = self._timed_out(record, watch, steps)
        if record.ending is not None or timed_out:
            outcome = when_stopped(stopped(record, watch, timed_out=timed_out), "stopped")
            await self._finish(record, watch, outcome, steps)
            return True
        position = len(steps) + 1
        step = steps_of(record.job)[position - 1]
        given = step_request(record.job, watch.attempt, watch.name, position, step, own=False)
        await lead()
        try:
            watch.added[position] = await self._service.add_step(watch.cluster, given)
        except AwsError as error:
            return await self._not_added(record, watch, error, steps)
        log.info("step added", job=record.job.id, cluster=watch.cluster, step=watch.added[position])
        watch.doubtful_since = None
        if watch.asked_at is None:
            watch.asked_at = self._now()
        await self._recorder.annotate(watch.attempt, watch.notes)
        return False

    async def _not_added(
        self, record: JobRecord, watch: Watch, error: AwsError, steps: Sequence[StepStatus]
    ) -> bool:
        if may_have_happened(error):
            watch.doubt()
        if error.trouble is not Trouble.REFUSED:
            raise error
        if FULL in str(error):
            return False
        outcome = Outcome(Kind.START_ERROR, reason=f"{watch.cluster} does not take the step: {error}")
        await self._finish(record, watch, outcome, steps)
        return True

    async def _finish(
        self, record: JobRecord, watch: Watch, outcome: Outcome, steps: Sequence[StepStatus]
    ) -> None:
        cluster = await self._service.describe(watch.cluster)
        outcome = replace(
            outcome,
            log=history.place_of(cluster.log_uri if cluster else "", watch.cluster),
            metadata={history.CLUSTER: watch.cluster, **history.of_steps(steps)},
        )
        log.info("steps ended", job=record.job.id, cluster=watch.cluster, outcome=str(outcome.kind))
        await self._recorder.finish(record.job, watch.attempt, outcome)


def _emr(record: JobRecord) -> Emr:
    assert record.job.emr is not None
    return record.job.emr
