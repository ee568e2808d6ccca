"""AWS as the adapters see it: calls by the service's own names, and errors that say what to do.

One port, `Aws`, and not one client object per service, so that the same adapters run over real services, over emulators
and over simulated services in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from enum import StrEnum
from typing import Any, Protocol

from runner.errors import Unavailable

Reply = Mapping[str, Any]

# By the codes the services give, whatever the service. What is in neither is the caller's to judge.
THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NoCredentials",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "SubscriptionRequiredException",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)


class Trouble(StrEnum):
    """What a failed call means for whoever made it."""

    THROTTLED = "throttled"  # slow down and try again
    DENIED = "denied"  # nothing will work until somebody mends rights or credentials
    UNREACHABLE = "unreachable"  # no answer, or one that broke off: it may have been carried out
    SERVER = "server"  # the service's own failure (5xx): it may have been carried out
    REFUSED = "refused"  # everything else: the request itself is at fault, `code` says how


class AwsError(Unavailable):
    """A call that failed after the retries that make sense for it.

    `code` is the service's own (`ConditionalCheckFailedException`); `details` what came with it beside the message,
    such as the `Item` that a failed condition found. The text names action and resource and the next step: `next_step`,
    or else the trouble's own.
    """

    def __init__(
        self,
        action: str,
        resource: str,
        code: str,
        problem: str,
        trouble: Trouble,
        details: Reply | None = None,
        *,
        next_step: str = "",
    ) -> None:
        self.action = action
        self.resource = resource
        self.code = code
        self.trouble = trouble
        self.details: Reply = details or {}
        on = f" on {resource}" if resource else ""
        super().__init__(
            f"{action}{on} failed: {code}: {problem}{_then(next_step or _NEXT_STEPS.get(trouble))}"
        )


_NEXT_STEPS = {
    Trouble.DENIED: (
        "check the credentials and the role's permissions: `runner-controller doctor` names what is missing"
    ),
    Trouble.UNREACHABLE: "check region, network and AWS_ENDPOINT_URL",
}


def _then(next_step: str | None) -> str:
    return f"; {next_step}" if next_step else ""


def date_of(reply: Reply) -> float | None:
    """When the service answered, by its own clock: in whole seconds, never rounded up (RFC 9110, 6.6.1). None: it does
    not say."""
    headers = (reply.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    told = parsedate_tz(str(headers.get("date", "")))  # without a zone it is UTC, too
    try:
        return None if told is None else float(mktime_tz(told))
    except (ValueError, OverflowError):
        return None


class Aws(Protocol):
    """`service` and `operation` are botocore's: `call("sqs", "send_message_batch", QueueUrl=…, Entries=…)`.

    `urgent` calls (beats, and writes about what is held) go through threads of their own, so that long polls cannot
    starve them. A cancelled call is awaited: it may have been carried out, and what follows must not overtake it.
    Raises AwsError.
    """

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply: ...

    async def close(self) -> None: ...
