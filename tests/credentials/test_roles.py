"""Credentials of a job's role, served to its tasks. The endpoint is real, on loopback; the token service is scripted.

One test has botocore itself ask, as a task's own AWS library would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.utils import ContainerMetadataFetcher
from structlog.testing import capture_logs

from runner.adapters.credentials.roles import TOKEN, URI, TaskRoles
from runner.adapters.credentials.session import RENEW_BEFORE, RoleSession, session_name
from runner.array import Array
from runner.aws import AwsError, Reply, Trouble
from runner.errors import EngineUnavailable
from runner.model import Attempt, Job, TaskId

ROLE = "arn:aws:iam::111122223333:role/data"
START = datetime(2024, 6, 1, tzinfo=UTC).timestamp()


class TokenService:
    """STS: gives what it is asked for, numbered, or fails as told."""

    def __init__(self) -> None:
        self.time = START
        self.asked: list[dict[str, Any]] = []
        self.error: AwsError | None = None

    def now(self) -> float:
        return self.time

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert (service, operation) == ("sts", "assume_role")
        self.asked.append(parameters)
        if self.error is not None:
            raise self.error
        ends = datetime.fromtimestamp(self.time, UTC) + timedelta(seconds=parameters["DurationSeconds"])
        number = str(len(self.asked))
        return {
            "Credentials": {
                "AccessKeyId": "key" + number,
                "SecretAccessKey": "secret" + number,
                "SessionToken": "session" + number,
                "Expiration": ends,
            }
        }

    async def close(self) -> None: ...


def failure(trouble: Trouble) -> AwsError:
    return AwsError("sts:AssumeRole", ROLE, "Oops", "no", trouble)


def a_job(role: str | None = ROLE) -> Job:
    return Job(id="job1", name="a", command=("true",), array=Array.of_size(9), role=role)


def an_attempt(index: int = 0, number: int = 1) -> Attempt:
    return Attempt(TaskId("job1", index), number, number, "host#1", 1)


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sts = TokenService()
        self.roles = self.agent()

    def agent(self, address: str = "127.0.0.1") -> TaskRoles:
        return TaskRoles(self.sts, self.folder / "credentials", self.sts.now, address)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    yield place
    await place.roles.close()


async def ask(variables: dict[str, str] | Any, token: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": variables[TOKEN] if token is None else token}
    async with aiohttp.ClientSession() as session, session.get(variables[URI], headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_a_job_without_a_role_is_given_nothing(place: Place) -> None:
    assert await place.roles.grant(a_job(role=None), an_attempt()) == {}


async def test_who_shows_its_token_gets_its_roles_credentials(place: Place) -> None:
    status, body = await ask(await place.roles.grant(a_job(), an_attempt()))
    assert status == 200
    assert body == {
        "AccessKeyId": "key1",
        "SecretAccessKey": "secret1",
        "Token": "session1",
        "Expiration": "2024-06-01T01:00:00Z",
        "RoleArn": ROLE,
    }


async def test_an_aws_library_finds_them(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    fetcher = ContainerMetadataFetcher()
    found = await asyncio.to_thread(
        fetcher.retrieve_full_uri, given[URI], headers={"Authorization": given[TOKEN]}
    )
    assert found["AccessKeyId"] == "key1"


async def test_the_role_is_assumed_only_when_somebody_asks(place: Place) -> None:
    await place.roles.grant(a_job(), an_attempt())
    assert place.sts.asked == []


async def test_the_session_is_named_after_the_task(place: Place) -> None:
    await ask(await place.roles.grant(a_job(), an_attempt(index=7, number=2)))
    assert place.sts.asked == [
        {"RoleArn": ROLE, "RoleSessionName": "job1-7-2", "DurationSeconds": 3600},
    ]


@pytest.mark.parametrize("token", ["", "wrong", "Bearer x", "é"])
async def test_nobody_without_the_token_gets_any(place: Place, token: str) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    status, body = await ask(given, token=token)
    assert status == 403
    assert "key" not in str(body)
    assert place.sts.asked == []


async def test_the_token_of_one_attempt_opens_no_other(place: Place) -> None:
    mine = await place.roles.grant(a_job(), an_attempt(index=1))
    other = await place.roles.grant(a_job(), an_attempt(index=2))
    assert (await ask(other, token=mine[TOKEN]))[0] == 403


async def test_what_was_never_granted_looks_like_a_wrong_token(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    wrong = await ask(given, token="wrong")
    nobodys = {**given, URI: given[URI].replace("/0/", "/5/")}
    assert await ask(nobodys) == wrong


async def test_a_token_is_worth_nothing_after_its_attempt(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    place.roles.withdraw(an_attempt())
    assert (await ask(given))[0] == 403


async def test_many_questions_are_one_session(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    await asyncio.gather(*(ask(given) for _ in range(10)))
    assert len(place.sts.asked) == 1


async def test_credentials_are_renewed_before_a_library_finds_them_too_old(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    await ask(given)
    place.sts.time += 3600 - RENEW_BEFORE
    assert (await ask(given))[1]["AccessKeyId"] == "key2"


async def test_a_renewal_that_fails_leaves_what_still_holds(place: Place) -> None:
    given = await place.roles.grant(a_job(), an_attempt())
    await ask(given)
    place.sts.time += 3600 - RENEW_BEFORE
    place.sts.error = failure(Trouble.UNREACHABLE)
    assert (await ask(given))[1]["AccessKeyId"] == "key1"


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(Trouble.DENIED, 403), (Trouble.REFUSED, 403), (Trouble.THROTTLED, 503), (Trouble.UNREACHABLE, 503)],
)
async def test_a_role_that_cannot_be_assumed_is_an_error_that_says_whether_to_ask_again(
    place: Place, trouble: Trouble, status: int
) -> None:
    place.sts.error = failure(trouble)
    answer = await ask(await place.roles.grant(a_job(), an_attempt()))
    assert answer == (status, {"code": "Oops", "message": f"cannot assume {ROLE}: Oops"})


async def test_a_program_that_asks_in_a_loop_does_not_make_the_agent_do_so(place: Place) -> None:
    place.sts.error = failure(Trouble.DENIED)
    given = await place.roles.grant(a_job(), an_attempt())
    for _ in range(20):
        await ask(given)
    assert len(place.sts.asked) == 1


async def test_a_task_that_outlives_its_agent_finds_the_same_with_the_next(place: Place) -> None:
    before = await place.roles.grant(a_job(), an_attempt())
    await place.roles.close()
    place.roles = place.agent()
    assert await place.roles.grant(a_job(), an_attempt()) == before
    assert (await ask(before))[0] == 200


async def test_a_port_that_was_taken_meanwhile_is_given_up(place: Place) -> None:
    before = await place.roles.grant(a_job(), an_attempt())
    other = place.agent()
    try:
        after = await other.grant(a_job(), an_attempt())
        assert after[URI] != before[URI]
        assert (await ask(after))[0] == 200
    finally:
        await other.close()


async def test_the_key_is_for_its_owner_alone(place: Place) -> None:
    await place.roles.grant(a_job(), an_attempt())
    assert (place.folder / "credentials").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "zz", "port": 1}', '{"key": "", "port": 1}'])
async def test_a_damaged_key_is_replaced(place: Place, text: str) -> None:
    (place.folder / "credentials").write_text(text)
    given = await place.roles.grant(a_job(), an_attempt())
    assert (await ask(given))[0] == 200
    assert text != (place.folder / "credentials").read_text()


async def test_an_address_that_is_not_the_hosts_is_the_hosts_trouble_and_says_what_to_do(
    place: Place,
) -> None:
    elsewhere = place.agent(address="192.0.2.1")
    with pytest.raises(EngineUnavailable, match=r"ip address add 192\.0\.2\.1/32 dev lo"):
        await elsewhere.grant(a_job(), an_attempt())


async def test_no_token_and_no_credential_is_logged(place: Place) -> None:
    with capture_logs() as logs:
        given = await place.roles.grant(a_job(), an_attempt())
        await ask(given)
        place.sts.error = failure(Trouble.DENIED)
        await ask(await place.roles.grant(a_job(), an_attempt(index=1)))
    assert "cannot assume" in str(logs)
    assert not [word for word in (given[TOKEN], "secret1", "session1") if word in str(logs)]


def test_a_session_cannot_be_named_anything() -> None:
    assert session_name("x" * 100 + "job/7 é#3") == ("x" * 55 + "job-7---3")


async def test_sessions_of_different_tasks_are_different() -> None:
    sts = TokenService()
    for name in ("job1-1-1", "job1-2-1"):
        await RoleSession(sts, ROLE, name, sts.now).credentials()
    assert len({each["RoleSessionName"] for each in sts.asked}) == 2
