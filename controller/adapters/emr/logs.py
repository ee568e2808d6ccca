"""Where clusters keep what their steps wrote: their logs are many files of several programs, so their place is told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator

from controller.adapters.emr.history import CLUSTER, parse_place, place_of
from controller.adapters.emr.recording import round_in
from controller.adapters.emr.service import EmrService
from controller.ports import LogReader, Records
from runner.aws import Aws
from runner.model import TaskId
from runner.records import UNRECORDED, Recorded

MOST_KEPT = 256


class EmrLogReader:
    """Implements `controller.ports.LogReader`; `others` reads what was not written on Amazon EMR."""

    def __init__(self, aws: Aws, records: Records, others: LogReader) -> None:
        self._service = EmrService(aws)
        self._records = records
        self._others = others
        self._known: OrderedDict[str, str] = OrderedDict()

    @property
    def live(self) -> bool:
        return self._others.live

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        """Raises AwsError, StorageError."""
        if round_in(recorded.owner or "") is None:
            async for data in self._others.read(task, number, start, recorded):
                yield data
            return
        data = (await self._text(task, recorded)).encode()
        if data[start:]:
            yield data[start:]

    async def _text(self, task: TaskId, recorded: Recorded) -> str:
        ended = recorded.outcome
        if ended is not None:
            cluster, place = ended.metadata.get(CLUSTER, ""), parse_place(ended.log)
        else:
            found = await self._records.task(task)
            cluster = found.metadata.get(CLUSTER, "") if found else ""
            place = parse_place(await self._place(cluster)) if cluster else None
        if not cluster:
            return ""
        if place is None:
            return (
                f"cluster {cluster} keeps no logs: neither emr.logs nor the settings' emr.log_uri was given\n"
            )
        return f"the logs of cluster {cluster} lie in {place}, some minutes after they are written\n"

    async def _place(self, cluster_id: str) -> str:
        if cluster_id not in self._known:
            cluster = await self._service.describe(cluster_id)
            self._known[cluster_id] = place_of(cluster.log_uri if cluster else "", cluster_id)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return self._known[cluster_id]
