"""What a job's cluster is doing, and why."""

from __future__ import annotations

from collections.abc import Iterator

from controller.adapters.emr.history import CLUSTER
from controller.adapters.emr.names import position_in
from controller.adapters.emr.replies import Cluster, StepStatus
from controller.adapters.emr.requests import steps_of
from controller.adapters.emr.service import EmrService
from controller.adapters.emr.watch import Watch, watch_of
from controller.model import Reason
from runner.emr_settings import EmrSettings
from runner.model import Status
from runner.records import JobRecord, TaskRecord
from runner.units import format_duration


async def reasons_of(
    service: EmrService, settings: EmrSettings, record: JobRecord, task: TaskRecord | None, now: float
) -> list[Reason]:
    """None but of an attempt that runs. Raises AwsError."""
    if task is None or task.status is not Status.RUNNING:
        return []
    watch = watch_of(settings.name, record, task)
    if watch is None:
        return []
    borrowed = record.job.emr.cluster if record.job.emr else ""
    cluster_id = borrowed or task.metadata.get(CLUSTER, "")
    if not cluster_id:
        text = "Its cluster is about to be started, or it is being found out whether it was."
        return [Reason("emr_starting", text)]
    cluster = await service.describe(cluster_id)
    if cluster is None:
        return [Reason("emr_cluster", f"Amazon EMR does not know the cluster {cluster_id} (any more).")]
    since = record.job.created_at - 900.0 if borrowed else 0.0
    return list(_told(record, watch, cluster, await service.steps(cluster_id, since), now))


def _told(
    record: JobRecord, watch: Watch, cluster: Cluster, steps: list[StepStatus], now: float
) -> Iterator[Reason]:
    since = cluster.ended or cluster.ready or cluster.created
    why = ": ".join(each for each in (cluster.code, cluster.reason) if each)
    told = f" ({why})" if why else ""
    lasts = format_duration(round(max(0.0, now - since)))
    yield Reason("emr_cluster", f"The cluster {cluster.id} is {cluster.state} for {lasts}{told}.")
    for code, text in cluster.errors:
        yield Reason("emr_error", f"Amazon EMR says {code}: {text}.")
    planned = len(steps_of(record.job))
    for step in steps:
        position = position_in(watch.name, step.name)
        if position is not None and step.state != "COMPLETED":
            failed = f": {step.reason}" if step.reason else ""
            text = f"Step {position} of {planned}, {step.id}, is {step.state}{failed}."
            yield Reason("emr_step", text)
