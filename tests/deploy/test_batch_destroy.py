"""The end of what a fleet has on AWS Batch while it works: over the simulated service, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from controller.deployment.batch_ending import BatchEnding
from controller.deployment.remains import Remnant, remains
from controller.simulation.clock import run
from controller.simulation.services.batch_hosts import Environment, JobQueue
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import refused
from runner.aws import AwsError, Reply
from tests.deploy.batch_account import BatchAccount
from tests.deploy.sample import batch_settings, fleet
from tests.deploy.scripted import Scripted

T = TypeVar("T")

SETTINGS = batch_settings()
OURS, THEIRS = {"runner-fleet": "shards"}, {"runner-fleet": "shards-two"}
ACCOUNT = "123456789012"
HOUR = 3600.0


def works(_env: Mapping[str, str], command: Sequence[str]) -> Run:
    """For hours; `deaf` does not let itself be asked to end."""
    return Run(HOUR, deaf="deaf" in command)


class Account(Scripted):
    """The fleet's queue with two environments, and another fleet's queue, which have room for two tasks each."""

    def __init__(self) -> None:
        super().__init__(
            {
                "describe_stacks": {"Stacks": []},
                "get_caller_identity": {"Account": ACCOUNT},
                "list_clusters": {"Clusters": []},
                "describe_table": refused("ResourceNotFoundException"),
                "head_bucket": refused("404"),
            }
        )
        names = ("shards-spot", "shards-steady", "shards-two-spot")
        spot, steady, others = (Environment(name, most_vcpus=16.0) for name in names)
        queues = [JobQueue("shards-default", (spot, steady)), JobQueue("shards-two-default", (others,))]
        tags = dict.fromkeys(("shards-default", "shards-spot", "shards-steady"), OURS)
        self.batch = BatchAccount(
            works, queues, {**tags, "shards-two-default": THEIRS, "shards-two-spot": THEIRS}
        )

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if service != "batch":
            return await super().call(service, operation, urgent=urgent, **parameters)
        self.calls.append((operation, parameters))
        return self.batch.answer(operation, parameters)

    def submit(self, fleet: str, *, size: int = 0, command: str = "work", **more: Any) -> str:
        """Of tasks as large as half a machine."""
        needs = [{"type": "VCPU", "value": "8"}, {"type": "MEMORY", "value": "1024"}]
        container = {"image": "busybox", "command": [command], "resourceRequirements": needs}
        definition = self.batch.answer(
            "register_job_definition",
            {
                "jobDefinitionName": f"{fleet}-{command}",
                "type": "container",
                "containerProperties": container,
                "tags": {"runner:installation": fleet},
            },
        )
        array = {"arrayProperties": {"size": size}} if size else {}
        asked = {
            "jobName": f"{fleet}-a",
            "jobQueue": f"{fleet}-default",
            "jobDefinition": definition["jobDefinitionArn"],
            **array,
            **more,
        }
        return str(self.batch.answer("submit_job", asked)["jobId"])

    async def end(self) -> None:
        await BatchEnding(self, SETTINGS, fleet(), lambda _: None).run()

    async def left(self) -> Sequence[Remnant]:
        return await remains(self, SETTINGS, fleet(), ACCOUNT)

    def statuses(self) -> dict[str, str]:
        return {job.id: job.status for job in self.batch.jobs.values()}


def play(story: Callable[[Account], Awaitable[T]]) -> T:
    async def told() -> T:
        return await story(Account())

    return run(told())


def test_jobs_that_run_wait_and_depend_on_others_end_and_nothing_is_left() -> None:
    async def story(account: Account) -> None:
        first = account.submit("shards", size=5)  # of which four have room
        account.submit("shards", dependsOn=[{"jobId": first}])
        account.submit("shards", command="deaf")
        await asyncio.sleep(300)
        found = {remnant.kind for remnant in await account.left()}
        assert found == {"Batch job", "job queue", "compute environment"}
        await account.end()
        assert set(account.statuses().values()) == {"FAILED"}
        assert await account.left() == []
        assert [each for each in account.batch.definitions if each.startswith("shards-")] == []

    play(story)


def test_tasks_that_do_not_let_themselves_be_ended_get_half_a_minute() -> None:
    async def story(account: Account) -> float:
        account.submit("shards", command="deaf")
        await asyncio.sleep(300)
        await account.end()
        (job,) = account.batch.jobs.values()
        assert job.attempts[0]["container"]["exitCode"] == 137
        return asyncio.get_running_loop().time() - 300

    assert play(story) < 600


def test_another_fleet_works_on() -> None:
    async def story(account: Account) -> None:
        theirs = account.submit("shards-two")
        await asyncio.sleep(300)
        await account.end()
        assert account.statuses() == {theirs: "RUNNING"}
        assert list(account.batch.queues) == ["shards-two-default"]
        assert list(account.batch.definitions) == ["shards-two-work"]

    play(story)


def test_nothing_can_be_submitted_any_more_while_jobs_end() -> None:
    async def story(account: Account) -> None:
        account.submit("shards", command="deaf")
        await asyncio.sleep(300)
        ending = asyncio.ensure_future(account.end())
        await asyncio.sleep(1)
        with pytest.raises(AwsError, match="is not ENABLED"):
            account.submit("shards")
        await ending

    play(story)


def test_an_end_that_was_broken_off_is_gone_on_with() -> None:
    async def story(account: Account) -> None:
        account.submit("shards", size=5)
        await asyncio.sleep(300)
        for seconds in (5, 25, 45, 65, 85):
            ending = asyncio.ensure_future(account.end())
            await asyncio.sleep(seconds)
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
        await account.end()
        assert await account.left() == []

    play(story)
