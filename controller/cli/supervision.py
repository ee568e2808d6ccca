"""Whether anybody does the work, said where a user might wait for it in vain."""

from __future__ import annotations

from controller.cli.output import remark
from controller.wiring import Parts


async def is_led(parts: Parts) -> bool:
    return (await parts.ledger.supervision()).led


async def say_if_unsupervised(parts: Parts, job_id: str) -> None:
    if not await is_led(parts):
        remark(
            "nobody is supervising, so nothing runs yet: "
            f"start it with `runner-controller watch {job_id}` or `runner-controller serve`"
        )


async def say_what_is_left(parts: Parts) -> None:
    """Other jobs may have got ahead only because this command supervised."""
    unfinished = await parts.records.jobs(unfinished=True)
    if unfinished and not await is_led(parts):
        remark(
            f"{len(unfinished)} other jobs have not ended, and nobody supervises now: runner-controller watch"
        )


async def say_what_still_runs(parts: Parts) -> None:
    """Agents that an earlier command started go on until they notice that nobody supervises, and what was handed over
    goes on anyway."""
    if await is_led(parts):
        return
    unfinished = await parts.records.jobs(unfinished=True)
    running = sum(record.counts.running for record in unfinished if not record.job.backend)
    if running:
        remark(f"{running} tasks still run, on agents that another command started: these end with them")
    elsewhere = sum(record.queued for record in unfinished if record.job.backend)
    if elsewhere:
        go_on = "1 task goes" if elsewhere == 1 else f"{elsewhere} tasks go"
        remark(f"{go_on} on elsewhere: what comes of that is recorded once somebody supervises")
