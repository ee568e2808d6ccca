"""`dead-letters` over an installation in a folder. Messages that nobody can read are written as a stranger would."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest

from controller.cli.dead_letters import drop
from controller.cli.output import Format
from controller.dead_letters import UNKNOWN, UNREADABLE, Standing, letter_object
from controller.wiring import open_parts
from runner.errors import NotFound
from runner.model import TaskId
from runner.records import DeadLetter
from tests.desk import Desk

CLI = (Path(__file__).parent.parent / "docs" / "cli.md").read_text()
HOSTILE = "\x1b[2Jhello"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def put_aside(desk: Desk, *bodies: str) -> None:
    """Write messages, and have them received."""
    desk.out("jobs")  # there is a database then
    with sqlite3.connect(desk.home / "runner.db") as database:
        for body in bodies:
            database.execute(
                "INSERT INTO messages (queue, visible_at, body) VALUES ('default', 0, ?)", (body,)
            )
    desk.work()


def ids(desk: Desk) -> list[str]:
    return desk.out("dead-letters", "list", "--output", "quiet").split()


def test_there_are_none_to_begin_with(desk: Desk) -> None:
    assert desk.json("dead-letters", "list") == []


def test_the_list_tells_why_a_message_was_put_aside(desk: Desk) -> None:
    put_aside(desk, "hello")
    out = desk.out("dead-letters", "list")
    assert "not JSON" in out
    assert UNREADABLE in out


def test_nothing_in_a_message_steers_the_terminal(desk: Desk) -> None:
    put_aside(desk, HOSTILE, '{"v":"\\u001b[31m"}')
    for output in ("table", "json", "quiet"):
        assert "\x1b" not in desk.out("dead-letters", "list", "--output", output)


def test_the_list_in_json_has_an_id_and_a_status(desk: Desk) -> None:
    put_aside(desk, "hello")
    (letter,) = desk.json("dead-letters", "list")
    assert (letter["status"], letter["queue"], letter["body"]) == (UNREADABLE, "default", "hello")
    assert [letter["id"]] == ids(desk)


def test_no_more_are_listed_than_asked_for(desk: Desk) -> None:
    put_aside(desk, "one", "two", "three")
    assert len(desk.json("dead-letters", "list", "--limit", "2")) == 2


def test_one_is_dropped_by_its_id(desk: Desk) -> None:
    put_aside(desk, "one", "two")
    first, second = ids(desk)
    assert desk.out("dead-letters", "drop", first) == f"dropped {first} (unreadable)\n"
    assert ids(desk) == [second]


def test_all_are_dropped(desk: Desk) -> None:
    put_aside(desk, "one", "two")
    assert len(desk.out("dead-letters", "drop", "all", "--output", "quiet").split()) == 2
    assert ids(desk) == []


def test_a_replayed_message_is_on_its_queue_again(desk: Desk) -> None:
    put_aside(desk, "one")
    desk.out("dead-letters", "replay", "all")
    assert ids(desk) == []
    desk.work()
    assert len(ids(desk)) == 1


def test_what_was_done_is_told_in_json_too(desk: Desk) -> None:
    put_aside(desk, "one")
    (letter,) = ids(desk)
    assert desk.json("dead-letters", "replay", "all") == [{"id": letter, "status": "REPLAYED"}]


def test_with_none_there_is_nothing_to_do_and_that_is_said(desk: Desk) -> None:
    result = desk.call("dead-letters", "drop", "all")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no dead letters" in result.stderr


@pytest.mark.parametrize(("output", "said"), [("table", "dropped 2 (unreadable)\n"), ("quiet", "2\n")])
def test_a_letter_that_could_not_be_found_again_is_not_reported_as_dropped(
    desk: Desk, output: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_aside(desk, "one", "two")

    async def main() -> None:
        async with open_parts(desk.settings) as parts:
            chosen = await parts.dead_letters.list()
            await parts.dead_letters.drop(["1"])  # by somebody else
            await drop(chosen, parts.dead_letters, Format(output))

    with pytest.raises(NotFound, match="could not be found again: 1;"):
        asyncio.run(main())
    assert capsys.readouterr().out == said


def test_a_letter_that_the_queue_itself_moved_is_told_why() -> None:
    letter = DeadLetter("id", "default", "{}", "", 1000, 0.0, TaskId("job", 1))
    assert letter_object(letter, Standing())["reason"] == "received 1000 times without coming to an end"


def test_an_unknown_id_is_not_found_and_nothing_is_done(desk: Desk) -> None:
    put_aside(desk, "one")
    result = desk.call("dead-letters", "drop", *ids(desk), "nonsense")
    assert result.exit_code == 3
    assert "dead-letters list" in result.stderr
    assert len(ids(desk)) == 1


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(desk: Desk) -> None:
    put_aside(desk, *(f"message {n}" for n in range(12)))
    one, *_, twelve = ids(desk)
    assert (one, twelve) == ("1", "12")
    assert desk.out("dead-letters", "drop", "1", "--output", "quiet") == "1\n"  # exactly that one
    result = desk.call("dead-letters", "drop", "1")
    assert result.exit_code == 2
    assert "3 dead letters begin with 1" in result.stderr


def test_one_must_be_named(desk: Desk) -> None:
    assert desk.call("dead-letters", "drop").exit_code == 2


def test_a_message_of_no_known_task_is_told_so() -> None:
    letter = DeadLetter("id", "default", "{}", "received 1000 times", 1000, 0.0, TaskId("gone", 1))
    assert letter_object(letter, Standing())["status"] == UNKNOWN


def test_every_json_key_is_documented() -> None:
    section = re.split(r"^## ", CLI.partition("\n## JSON\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    documented = section.partition("**A dead letter**")[2].partition("\n\n**")[0]
    keys = letter_object(DeadLetter("id", "q", "{}", "", 1, 0.0), Standing())
    assert [key for key in keys if f"`{key}`" not in documented] == []


@pytest.mark.parametrize("command", ["list", "replay", "drop"])
def test_every_command_of_the_group_is_documented_and_teaches_by_examples(command: str) -> None:
    section = re.split(r"^## ", CLI.partition("\n## dead-letters\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert f"runner-controller dead-letters {command}" in section
    from controller.cli.dead_letters import command as group

    assert f"runner-controller dead-letters {command}" in (group.commands[command].help or "")
