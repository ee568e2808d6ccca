"""Calls to SQS by a queue's name. The address belonging to it is asked for once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from runner.aws import Aws, AwsError, Reply

MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


class Service:
    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._urls: dict[str, str] = {}
        # Apart, so that one address that does not come holds up neither other queues nor a beat.
        self._asking: defaultdict[tuple[str, bool], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def call(self, name: str, operation: str, *, urgent: bool = False, **parameters: Any) -> Reply:
        """Raises AwsError; where there is no such queue, it says what to do about that."""
        try:
            url = await self._url(name, urgent)
            return await self._aws.call("sqs", operation, urgent=urgent, QueueUrl=url, **parameters)
        except AwsError as error:
            if error.code not in MISSING:
                raise
            self._urls.pop(name, None)
            problem = (
                "there is no such queue; `runner-controller deploy` makes it, `runner-controller doctor` tells "
                "whether name and region of the fleet are the right ones"
            )
            raise AwsError(error.action, name, error.code, problem, error.trouble) from error

    async def _url(self, name: str, urgent: bool) -> str:
        if name in self._urls:
            return self._urls[name]
        async with self._asking[name, urgent]:
            if name not in self._urls:
                found = await self._aws.call("sqs", "get_queue_url", urgent=urgent, QueueName=name)
                self._urls[name] = str(found["QueueUrl"])
            return self._urls[name]
