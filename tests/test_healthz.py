"""Whether a supervisor does its work, and how it tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from controller.adapters.healthz import healthz
from controller.health import Health
from runner.errors import Unavailable


def test_a_supervisor_that_begins_is_well() -> None:
    assert Health(100.0).trouble(150.0) == ""


def test_one_step_that_fails_is_no_trouble_yet() -> None:
    assert Health(0.0).failed("x").failed("x").trouble(10.0) == ""


def test_three_steps_in_a_row_that_fail_are() -> None:
    health = Health(0.0).failed("x").failed("y").failed("no such table")
    assert health.trouble(10.0) == "3 steps in a row failed: no such table"


def test_a_good_step_ends_the_trouble() -> None:
    health = Health(0.0).failed("x").failed("x").failed("x").succeeded(20.0, leading=True)
    assert (health.trouble(21.0), health.leading) == ("", True)


def test_a_step_that_never_comes_to_an_end_is_trouble() -> None:
    assert Health(0.0).trouble(121.0) == "no step has come to an end for 121 seconds"


async def asked(port: int, request: bytes) -> tuple[int, bytes]:
    """The status and the body of what is answered; 0 for no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if not request.endswith(b"\n"):
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def served(
    play: Callable[[int], Awaitable[None]], report: tuple[bool, Mapping[str, object]] = (True, {})
) -> None:
    async def main() -> None:
        async with healthz("127.0.0.1:0", lambda: report) as port:
            await play(port)

    asyncio.run(main())


def test_all_well_is_200_and_trouble_503() -> None:
    for well, status in ((True, 200), (False, 503)):

        async def play(port: int, status: int = status) -> None:
            got, body = await asked(port, b"GET /healthz HTTP/1.1\r\n\r\n")
            assert (got, json.loads(body)) == (status, {"trouble": "é\n"})

        served(play, (well, {"trouble": "é\n"}))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /healthz?probe=1 HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /healthz/../etc HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"\r\n", 404),
        (b"\xff\xfe\x00\n", 404),
        (b"GET " + b"x" * 100_000 + b"\n", 0),
    ],
)
def test_other_requests_are_refused_and_do_no_harm(request_line: bytes, status: int) -> None:
    async def play(port: int) -> None:
        try:
            got, _ = await asked(port, request_line)
        except ConnectionError:
            got = 0
        assert got == status
        assert (await asked(port, b"GET /healthz HTTP/1.1\r\n\r\n"))[0] == 200

    served(play)


def test_nothing_is_said_beyond_the_head_to_who_asks_for_that() -> None:
    async def play(port: int) -> None:
        assert (await asked(port, b"HEAD /healthz HTTP/1.1\r\n\r\n"))[1] == b""

    served(play)


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "256.0.0.1:80"])
def test_an_address_that_cannot_be_listened_on_is_told(listen: str) -> None:
    async def main() -> None:
        async with healthz(listen, lambda: (True, {})):
            raise AssertionError

    with pytest.raises(Unavailable, match=rf"cannot answer /healthz on {listen}: .*; choose another"):
        asyncio.run(main())


def test_a_port_in_use_is_told() -> None:
    async def main() -> None:
        async with healthz("127.0.0.1:0", lambda: (True, {})) as port:
            with pytest.raises(Unavailable, match="cannot answer /healthz"):
                async with healthz(f"127.0.0.1:{port}", lambda: (True, {})):
                    raise AssertionError

    asyncio.run(main())
