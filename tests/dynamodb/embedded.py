"""ministack's DynamoDB without its server: answers within the caller's event loop, so it also works in virtual time.

Emulated: the service. What boto would refuse or translate goes unnoticed here; the contract suites go through boto.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ministack.services import dynamodb

from runner.aws import THROTTLED, AwsError, Reply, Trouble


class EmbeddedDynamo:
    """Every one sees the same tables: give them names of their own."""

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert service == "dynamodb", service
        await asyncio.sleep(0)  # as every call over a network, it lets others go on
        action = "".join(part.capitalize() for part in operation.split("_"))
        headers = {"x-amz-target": f"DynamoDB_20120810.{action}"}
        status, _, body = await dynamodb.handle_request(
            "POST", "/", headers, json.dumps(parameters).encode(), {}
        )
        answer: dict[str, Any] = json.loads(body)
        if status == 200:
            return answer
        code = str(answer.pop("__type")).rpartition("#")[2]
        trouble = Trouble.THROTTLED if code in THROTTLED else Trouble.REFUSED
        message = str(answer.pop("message", ""))
        raise AwsError(
            f"dynamodb:{action}", str(parameters.get("TableName", "")), code, message, trouble, answer
        )

    async def close(self) -> None: ...
