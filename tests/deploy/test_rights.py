"""What the parts really call, held against what their policies allow: the contract suites over services that refuse the
rest, as IAM would.

Emulated: DynamoDB and SQS in memory; IAM by actions and resources alone, without conditions.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from controller.deployment.policies import Policies
from controller.deployment.statements import Statement
from controller.ports import DeadLetters, Records
from controller.simulation.services.dynamodb import DynamoDb
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.ports import Ledger, Queue
from runner.routing import Routes
from runner.settings import AgentSettings
from tests.aws.items import LOT
from tests.contracts.aws_rig import AwsRig, make_ledger, make_records
from tests.contracts.rigs import Clock, Rig
from tests.contracts.test_dead_letters_contract import *  # noqa: F403
from tests.contracts.test_finish_contract import *  # noqa: F403
from tests.contracts.test_quarantine_contract import *  # noqa: F403
from tests.contracts.test_records_contract import *  # noqa: F403
from tests.contracts.test_takeover_contract import *  # noqa: F403
from tests.deploy.sample import SITE, fleet
from tests.dynamodb.emulator import a_name, create_table
from tests.dynamodb.world import JOB, begin, succeed
from tests.sqs.rig import CHANNELS, FLEET, SqsSide, make_letters, make_queue

TABLE = a_name("rights")

# Where one right serves several operations.
RIGHTS = {
    "send_message_batch": "sqs:SendMessage",
    "delete_message_batch": "sqs:DeleteMessage",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "transact_write_items": "dynamodb:PutItem",  # all of ours put
}


class Guarded:
    def __init__(self, aws: Aws, *allowed: Sequence[Statement]) -> None:
        self._aws = aws
        self._allowed = [statement for statements in allowed for statement in statements]

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        resource = _resource(parameters)
        for action in _actions(service, operation, parameters):
            if not any(_allows(statement, action, resource) for statement in self._allowed):
                raise AwsError(action, resource, "AccessDenied", "no statement allows it", Trouble.DENIED)
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None:
        await self._aws.close()


def _actions(service: str, operation: str, parameters: Mapping[str, Any]) -> Collection[str]:
    """The rights that it takes."""
    if operation == LOT:
        verbs = {each["Statement"].partition(" ")[0] for each in parameters["Statements"]}
        return [f"dynamodb:PartiQL{verb.capitalize()}" for verb in sorted(verbs)]
    return [RIGHTS.get(operation) or f"{service}:{re.sub('(?:^|_)(.)', _capital, operation)}"]


def _capital(found: re.Match[str]) -> str:
    return found[1].upper()


def _resource(parameters: Mapping[str, Any]) -> str:
    queue = str(parameters.get("QueueName") or parameters.get("QueueUrl") or "").rpartition("/")[2]
    if queue:
        return f"arn:aws:sqs:us-east-1:123456789012:{queue}"
    return f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}"


def _allows(statement: Statement, action: str, resource: str) -> bool:
    return action in statement["Action"] and any(fnmatchcase(resource, arn) for arn in statement["Resource"])


class GuardedRig(AwsRig):
    """Ledger and queue are an agent's, with the counts that only the others ask for; all else is the other part's."""

    def __init__(self, service: DynamoDb, clock: Clock, sqs: SqsSide, part: str) -> None:
        super().__init__("in memory", lambda: service, TABLE, clock, sqs)
        routes = Routes(None, AgentSettings(), dict.fromkeys(CHANNELS, 0))
        policies = Policies(replace(fleet(), name=FLEET, table=TABLE), SITE, routes)
        self._agents = policies.agent()
        self._others = getattr(policies, part)()
        self._service, self._part = service, part

    def queue(self, queues: Mapping[str, int]) -> Queue:
        guarded = Guarded(self._sqs.service, self._agents, self._others)
        return make_queue(guarded, self._clock, queues, linger=0.0, fresh=0.0)

    def ledger(self) -> Ledger:
        return make_ledger(Guarded(self._aws, self._agents), self._table, self._clock)

    def records(self) -> Records:
        return make_records(Guarded(self._aws, self._others), self._table, self._clock)

    def dead_letters(self) -> DeadLetters:
        return make_letters(Guarded(self._sqs.service, self._others), look=0)

    async def peer(self) -> Rig:
        return GuardedRig(self._service, self._clock, self._sqs, self._part)


@pytest.fixture(params=["controller", "user"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    clock = Clock()
    service = DynamoDb(clock)
    await create_table(service, TABLE)
    made = GuardedRig(service, clock, await SqsSide.make(clock), request.param)
    yield made
    await made.close()


@pytest.fixture
def ledger(rig: Rig) -> Ledger:
    return rig.ledger()


@pytest.fixture
def records(rig: Rig) -> Records:
    return rig.records()


@pytest.fixture
def queue(rig: Rig) -> Queue:
    return rig.queue({"default": 0})


async def test_beginnings_and_ends_of_an_agents_tasks_may_go_in_company() -> None:
    """Or else, each would be refused first and then go by itself, which no contract shows."""
    service, clock = DynamoDb(Clock()), Clock()
    await create_table(service, TABLE)
    rig = GuardedRig(service, clock, await SqsSide.make(clock), "controller")
    await rig.records().register(JOB)
    ledger = rig.ledger()
    begun = await asyncio.gather(*(begin(ledger, index=index) for index in JOB.array))
    assert service.meter.writes[LOT] == JOB.array.size
    await asyncio.gather(*(succeed(ledger, attempt) for attempt in begun))
    assert service.meter.writes[LOT] == 2 * JOB.array.size
