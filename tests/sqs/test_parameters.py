"""Whether boto3 knows what the adapter asks for: a simulated service, and this one too, takes any name.

Emulated: SQS, in virtual time. botocore's own description of the service judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from tests.sqs.rig import DEAD_LETTERS, make_letters, queue_name
from tests.sqs.stage import HIDE, Stage, tasks, virtual

ASKED_FOR = {
    "get_queue_url",
    "send_message",
    "send_message_batch",
    "receive_message",
    "change_message_visibility_batch",
    "delete_message",
    "delete_message_batch",
    "get_queue_attributes",
}


def problems(operation: str, parameters: Mapping[str, Any]) -> str:
    name = "".join(part.capitalize() for part in operation.split("_"))
    shape = get_session().get_service_model("sqs").operation_model(name).input_shape
    given = {name: value for name, value in parameters.items() if name != "urgent"}
    return str(ParamValidator().validate(given, shape).generate_report())


async def everything() -> Stage:
    """Each of the adapter's verbs, once."""
    stage = await Stage.set()
    queue, letters = stage.queue(), make_letters(stage.aws)
    await queue.send("default", tasks(3))
    stage.service.put(queue_name("default"), "unreadable")
    one, two, three = await queue.receive(10, wait=0.0, hide=HIDE)
    await queue.extend([one, two, three], HIDE)
    await queue.quarantine(one, "as planned")
    await queue.release(two)
    await queue.complete([three])
    await queue.backlog()
    first, second = await letters.list()
    await letters.drop([first.id])
    await letters.replay([second.id])
    await queue.close()
    return stage


@virtual
async def test_boto_knows_all_parameters_that_are_given_to_it() -> None:
    stage = await everything()
    assert set(stage.aws.requests) == ASKED_FOR
    found = {(operation, problems(operation, given)) for operation, given in stage.aws.calls}
    assert found == {(operation, "") for operation in ASKED_FOR}


@pytest.mark.parametrize("wrong", [{"MessageSystemAttributeNmaes": ["All"]}, {"WaitTimeSeconds": "20"}])
def test_what_it_does_not_know_is_found(wrong: Mapping[str, Any]) -> None:
    assert problems("receive_message", {"QueueUrl": DEAD_LETTERS, **wrong})
