"""What the documents say is there is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from controller.cli.main import cli
from runner.cli.agent import main as agent

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUNCTUATION = set("();<>|&")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

a_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(document: Path) -> str:
    """Without what stands in code blocks."""
    return FENCE.sub("", document.read_text())


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """The files of ours it points to, each with the heading in it, if one is meant."""
    for target in LINK.findall(prose(document)):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, heading = target.partition("#")
            yield (document.parent / path).resolve() if path else document, heading


def headings(document: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def shell_lines(document: Path) -> Iterator[str]:
    """Each command in the document's shell blocks, continued lines joined."""
    for language, text in FENCE.findall(document.read_text()):
        if language in ("sh", "bash", "console"):
            joined = text.replace("\\\n", " ")
            yield from (line.removeprefix("$ ").strip() for line in joined.splitlines())


def invocations(document: Path, program: str) -> Iterator[list[str]]:
    """The arguments of each call of `program`, also within $(…), behind a path, or before a pipe."""
    for line in shell_lines(document):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for at, word in enumerate(words):
            if Path(word).name == program:
                rest = words[at + 1 :]
                end = next((n for n, each in enumerate(rest) if set(each) <= PUNCTUATION), len(rest))
                yield rest[:end]


def options(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own | {"--help", "-h"}


def used_options(arguments: list[str]) -> set[str]:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return {word.partition("=")[0] for word in own if re.match(r"--?[a-z]", word)}


@a_document
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [
        f"{path}#{heading}"
        for path, heading in links(document)
        if not path.exists() or (heading and heading not in headings(path))
    ]
    assert not broken


@a_document
def test_every_make_command_is_a_target(document: Path) -> None:
    named = {found[1] for line in shell_lines(document) if (found := re.match(r"make ([a-z-]+)", line))}
    named |= set(re.findall(r"`make ([a-z-]+)", prose(document)))
    assert named <= make_targets()


@a_document
def test_every_controller_command_shown_exists_with_its_options(document: Path) -> None:
    context = click.Context(cli)
    for arguments in invocations(document, "runner-controller"):
        name = next((word for word in arguments if not word.startswith("-")), None)
        command = cli.get_command(context, name) if name else cli
        assert command is not None, f"no such command: {name}"
        assert used_options(arguments) <= options(command), arguments


@a_document
def test_every_agent_option_shown_exists(document: Path) -> None:
    for arguments in invocations(document, "runner-agent"):
        assert used_options(arguments) <= options(agent), arguments


def test_every_document_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document not in seen and document.suffix == ".md" and document.exists():
            seen.add(document)
            waiting.extend(path for path, _ in links(document))
    assert set(DOCUMENTS) <= seen


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_task_menu_explains_every_target() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert explained == make_targets()


def test_the_readme_begins_with_the_two_commands() -> None:
    commands = [line.split("#")[0].strip() for line in shell_lines(ROOT / "README.md") if "make " in line]
    assert commands[:2] == ["make demo", "make test"]
