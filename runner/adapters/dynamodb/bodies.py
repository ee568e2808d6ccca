"""What was submitted, as text in as many items as it takes; immutable, so it may be remembered."""

from __future__ import annotations

from collections.abc import Sequence

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.reading import decoded
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.values import Item
from runner.adapters.unreadable import leave_out
from runner.codec import JOB_ID, decode_job, encode_job
from runner.errors import BadInput, StorageError
from runner.model import Job

CHUNK = 350_000
# All of a job is stored in one transaction, which may have 4 MB.
MOST_CHUNKS = 10
REMEMBERED = 256


def chunks(job: Job) -> Sequence[Item]:
    """Raises BadInput for a job that is too large to be stored."""
    text = encode_job(job)  # plain ASCII: as many bytes as characters
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    if len(parts) > MOST_CHUNKS:
        problem = f"the job takes {len(text):,} bytes; at most {MOST_CHUNKS * CHUNK:,} can be stored"
        raise BadInput(problem)
    return [{**keys.body(job.id, number)._asdict(), "body": part} for number, part in enumerate(parts)]


class Bodies:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._seen: dict[str, Job] = {}

    async def read(self, job_id: str) -> Job | None:
        """Raises StorageError if it cannot be read."""
        if not JOB_ID.fullmatch(job_id):
            return None
        if job_id in self._seen:
            return self._seen[job_id]
        texts = await self._texts([job_id])
        return self._decoded(texts[job_id]) if texts else None

    async def read_all(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Those that can be read."""
        found = {job_id: self._seen[job_id] for job_id in job_ids if job_id in self._seen}
        texts = await self._texts([job_id for job_id in job_ids if job_id not in found])
        for job_id, text in texts.items():
            try:
                found[job_id] = self._decoded(text)
            except StorageError as error:
                leave_out("job", job_id, str(error))
        return found

    async def _texts(self, job_ids: Sequence[str]) -> dict[str, str]:
        firsts = await self._table.batch([keys.body(job_id, 0) for job_id in job_ids]) if job_ids else ()
        return {keys.job_of(first): first["body"] + await self._rest(first) for first in firsts}

    def _decoded(self, text: str) -> Job:
        job = decoded(decode_job, text)
        self._seen[job.id] = job
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return job

    async def _rest(self, first: Item) -> str:
        """Of a job whose text fills its first chunk."""
        if len(first["body"]) < CHUNK:
            return ""
        job_id = keys.job_of(first)
        rest = await self._table.batch([keys.body(job_id, number) for number in range(1, MOST_CHUNKS)])
        return "".join(item["body"] for item in sorted(rest, key=lambda item: str(item["sk"])))
