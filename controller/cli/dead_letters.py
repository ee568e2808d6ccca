"""`dead-letters`: messages that were put aside."""

from __future__ import annotations

from collections.abc import Sequence

import click

from controller.cli.app import App, pass_app
from controller.cli.output import Format, clock_time, line, output_option, print_json, remark
from controller.cli.tables import Column, Table
from controller.dead_letters import letter_object, reason_of, replay, standing, status_of
from controller.ports import DeadLetters
from controller.wiring import Parts
from runner.errors import BadInput, NotFound
from runner.records import DeadLetter
from runner.wording import printable

ALL = "all"
MOST_SHOWN = 1000

ids_argument = click.argument("ids", nargs=-1, required=True, metavar="ID...|all")


@click.group(name="dead-letters")
def command() -> None:
    """Messages that were put aside, as no agent could read them or they were received too often.

    What became of their tasks is known, so the supervisor settles most of them by itself. Those that cannot be read
    wait here for you: replay them once the reason is gone (a newer version wrote them, say), or drop them.

    \b
    Examples:
      runner-controller dead-letters list
      runner-controller dead-letters replay all
      runner-controller dead-letters drop 4f1c
    """


@command.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=MOST_SHOWN,
    help=f"At most so many. Default: {MOST_SHOWN}.",
)
@output_option
@pass_app
def list_command(app: App, limit: int, output: Format) -> None:
    """List them, with their reasons, and how the ledger says that their tasks stand.

    \b
    Examples:
      runner-controller dead-letters list
      runner-controller dead-letters list --output json
    """

    async def work(parts: Parts) -> None:
        await _print(parts, await parts.dead_letters.list(limit), output)

    app.run(work)


@command.command(name="replay")
@ids_argument
@output_option
@pass_app
def replay_command(app: App, ids: Sequence[str], output: Format) -> None:
    """Put them on the queues again: where their tasks belong, or where they came from.

    They are named by their ids, or unique beginnings of them; `all` are all there are. A task that has ended is
    not run again by that: use `retry`.

    \b
    Examples:
      runner-controller dead-letters replay 4f1c 90ab
      runner-controller dead-letters replay all
    """

    async def work(parts: Parts) -> None:
        chosen = choose(await parts.dead_letters.list(), ids)
        replayed = await replay(chosen, parts.dead_letters, parts.queue, parts.routes, parts.records)
        _tell("replayed", chosen, replayed, output)

    app.run(work)


@command.command(name="drop")
@ids_argument
@output_option
@pass_app
def drop_command(app: App, ids: Sequence[str], output: Format) -> None:
    """Delete them for good.

    A task that waits to be run is sent again by the supervisor, once it notices that its message is gone.

    \b
    Examples:
      runner-controller dead-letters drop 4f1c
      runner-controller dead-letters drop all
    """

    async def work(parts: Parts) -> None:
        await drop(choose(await parts.dead_letters.list(), ids), parts.dead_letters, output)

    app.run(work)


def choose(letters: Sequence[DeadLetter], ids: Sequence[str]) -> Sequence[DeadLetter]:
    """Those meant by ids, their beginnings, or `all`. Raises NotFound, BadInput."""
    if ALL in ids:
        return letters
    chosen: dict[str, DeadLetter] = {}
    for wanted in ids:
        exact = [letter for letter in letters if letter.id == wanted]
        found = exact or [letter for letter in letters if letter.id.startswith(wanted)]
        if not found:
            message = f"no dead letter {printable(wanted)}; `runner-controller dead-letters list` shows those there are"
            raise NotFound(message)
        if len(found) > 1:
            message = f"{len(found)} dead letters begin with {printable(wanted)}; give more of the id"
            raise BadInput(message)
        chosen[found[0].id] = found[0]
    return list(chosen.values())


async def drop(chosen: Sequence[DeadLetter], letters: DeadLetters, output: Format) -> None:
    """Raises NotFound if some of them are not there any more; the others are dropped."""
    _tell("dropped", chosen, await letters.drop([each.id for each in chosen]), output)


async def _print(parts: Parts, letters: Sequence[DeadLetter], output: Format) -> None:
    if output is Format.QUIET:
        for letter in letters:
            line(letter.id)
        return
    found = [(letter, await standing(parts.records, letter)) for letter in letters]
    if output is Format.JSON:
        print_json([letter_object(*each) for each in found])
        return
    table = Table(
        Column("ID"),
        Column("STATUS"),
        Column("TASK"),
        Column("QUEUE"),
        Column("RECEIVED", right=True),
        Column("SINCE"),
        Column("REASON"),
    )
    for letter, its in found:
        status = status_of(letter, its)
        table.add(
            letter.id,
            status,
            letter.task,
            letter.queue,
            letter.receives,
            clock_time(letter.at),
            reason_of(letter),
        )
    table.end()


def _tell(what: str, chosen: Sequence[DeadLetter], done: Sequence[DeadLetter], output: Format) -> None:
    """Raises NotFound if not all is done."""
    if output is Format.JSON:
        print_json([{"id": letter.id, "status": what.upper()} for letter in done])
    else:
        for letter in done:
            line(
                letter.id if output is Format.QUIET else f"{what} {letter.id} ({letter.task or 'unreadable'})"
            )
    if not chosen and output is not Format.JSON:
        remark("there are no dead letters")
    ids = {letter.id for letter in done}
    if missing := [letter.id for letter in chosen if letter.id not in ids]:
        message = (
            f"{len(missing)} of {len(chosen)} could not be found again: {', '.join(missing)}; either somebody else "
            f"looks at them and they can be {what} in a minute, or they are gone: `runner-controller dead-letters list`"
        )
        raise NotFound(message)
