"""Bad and hostile input: refused before any write, with file, line, key and what is allowed."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.draft import draft_from
from controller.jobfile import JobFile, RetriesSection, RuleSection, SidecarSection
from runner.documents import Document, parse
from runner.errors import BadInput

KIB = 1024
MINIMAL: dict[str, object] = {"name": "j", "command": ["true"]}


def refused(directory: Path, text: str | bytes) -> str:
    """What is said of a job file; checks that nothing was written."""
    (directory / "job.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    before = sorted(os.listdir(directory))
    with pytest.raises(BadInput) as error:
        draft_from(Path("job.yaml"), {}, cwd=directory)
    assert error.value.exit_code == 2
    assert sorted(os.listdir(directory)) == before
    assert all(line.isprintable() for line in str(error.value).split("\n"))
    return str(error.value)


def refused_flags(directory: Path, **overrides: object) -> str:
    with pytest.raises(BadInput) as error:
        draft_from(None, {**MINIMAL, **overrides}, cwd=directory)
    return str(error.value)


# What is no document at all


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "job.yaml: empty"),
        ("# nothing\n", "job.yaml: empty"),
        ("- a", "job.yaml: must be a mapping of keys to values"),
        ("text", "job.yaml: must be a mapping of keys to values"),
        ("a: 1\nb: ]", "job.yaml:2: not YAML:"),
        ("a: 'x", "job.yaml:1: not YAML:"),
        ("a: b: c", "job.yaml:1: not YAML:"),
        ("a: 1\n\tb: 2", "job.yaml:2: not YAML:"),
        ("a: @x", "job.yaml:1: not YAML:"),
        (b"name: j\na: \xff", "job.yaml:2: not UTF-8 text"),
        (b"name: j\n\na: \x00", "job.yaml:3: the character '\\x00' is not allowed in YAML"),
        ("a: \x1b[31m", "job.yaml:1: the character '\\x1b' is not allowed in YAML"),
        ("name: j\nname: k", "job.yaml:2: name: the key stands twice; first on line 1"),
        ("name: j\nenv:\n  A: 1\n  A: 2", "job.yaml:4: env.A: the key stands twice; first on line 3"),
        ("? [a]\n: 1", "job.yaml:1: a key must be plain text"),
        ("name: j\n---\nname: k", "job.yaml:2: more than one document"),
        ("a: !!python/object/apply:os.system [id]", "job.yaml:1: the tag '"),
        ("a: !secret x", "job.yaml:1: the tag '!secret' is not supported"),
        ("a: *nowhere", "job.yaml:1: the alias '*nowhere' has no anchor before it"),
        ("a: &a [*a]", "job.yaml:1: the alias '*a' has no anchor before it"),
        ("a: {<<: 5}", "job.yaml:1: << takes a mapping, or a list of them"),
        ("a: " + "[" * 100_000, "job.yaml:1: nested more than 32 levels deep"),
        ("a: " + "{a: " * 50_000, "job.yaml:1: nested more than 32 levels deep"),
        ("a: 1\n" * 200_000, "job.yaml:2: a: the key stands twice"),
        ("#" * (KIB * KIB + 1), "job.yaml: larger than 1,048,576 bytes"),
    ],
    ids=itertools.count(),
)
def test_a_broken_document_is_refused_by_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path, text).startswith(message)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(BadInput, match=r"^bomb:6: more than 200,000 values"):
        parse(bomb.encode(), "bomb")


def test_aliases_nest_no_deeper_than_text() -> None:
    tower = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))
    with pytest.raises(BadInput, match=r"^tower:\d\d: nested more than 32 levels deep"):
        parse(tower.encode(), "tower")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.yaml", "missing.yaml: cannot be read: No such file or directory"),
        (".", ".: cannot be read: Is a directory"),
        ("a\x1b[31m\n.yaml", r"a\x1b[31m\n.yaml: cannot be read: No such file or directory"),
        ("a\0b", r"a\x00b: cannot be read: not a usable path"),
        ("/dev/zero", "/dev/zero: larger than 1,048,576 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        draft_from(Path(path), {}, cwd=tmp_path)
    assert str(error.value).startswith(message)


# What is a document but no job: one line of YAML, on line 3

KEYS = "name, image, command, array"
NUMBERED = "must be a whole number, not"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("imgae: x", f"imgae: unknown key; did you mean 'image'? allowed: {KEYS}, "),
        ("'[key]': 1", "[key]: unknown key; allowed: "),
        ("backnd: batch", "backnd: unknown key; did you mean 'backend'? allowed: "),
        ("backend: slurm", "backend: unknown value 'slurm'; allowed: batch, emr"),
        ('"a\\nb\\e[0m": 1', "a\\nb\\x1b[0m: unknown key; allowed: "),
        (f"{'k' * 900}: 1", f"{'k' * 64}…: unknown key; allowed: "),
        ("retries: {backof: 1s}", "retries.backof: unknown key; did you mean 'backoff'? allowed: count, inf"),
        ("mounts: [{src: a}]", "mounts[0].src: unknown key; did you mean 'source'? allowed: source,"),
        ("secrets: {A: {fiel: a}}", "secrets.A.fiel: unknown key; did you mean 'file'? allowed: file, env"),
        ("array: {line: x}", "array.line: unknown key; did you mean 'lines'? allowed: indices, lines,"),
        ("image: ''", "image: '' is not allowed here; allowed: an image reference"),
        ("image: --privileged", "image: '--privileged' is not allowed here; allowed: an image reference"),
        ("image: 'a b'", "image: 'a b' is not allowed here; allowed: an image reference"),
        ("image: 'a\\nb'", "image: 'a\\\\nb' is not allowed here; allowed: an image reference"),
        ("image: [a]", "image: must be text, not a list; put it in quotes if text is meant"),
        ("vcpus: 0", "vcpus: 0 is out of bounds; allowed: 0.01 to 1024"),
        ("vcpus: -1", "vcpus: -1 is out of bounds; allowed: 0.01 to 1024"),
        ("vcpus: 1e9", "vcpus: must be a number, not '1e9'"),
        ("vcpus: 1.0e+300", "vcpus: 1e+300 is out of bounds; allowed: 0.01 to 1024"),
        ("vcpus: 1.0e999", "vcpus: inf is out of bounds; allowed: 0.01 to 1024"),
        ("vcpus: .inf", "vcpus: must be a number, not '.inf'"),
        ("vcpus: .NaN", "vcpus: must be a number, not '.NaN'"),
        ("vcpus: true", "vcpus: must be a number, not true"),
        ("vcpus:", "vcpus: must be a number, not nothing"),
        ("memory: 1MiB", "memory: '1MiB' is out of bounds; allowed: 6MiB to 64TiB"),
        ("memory: 100TiB", "memory: '100TiB' is out of bounds; allowed: 6MiB to 64TiB"),
        ("memory: -1", "memory: -1 is not a size; a size is written like 512MiB, 4GiB or 1GB"),
        ("memory: 2g", "memory: '2g' could mean 2GiB or 2GB; write one of them"),
        ("timeout: 0", "timeout: 0 is out of bounds; allowed: 10ms to 365d"),
        ("timeout: -5s", "timeout: '-5s' is not a duration; a duration is written like 90s, 10m, 2h"),
        ("timeout: 1:30", "timeout: '1:30' is not a duration"),
        ("timeout: 2y", "timeout: '2y' is not a duration"),
        ("timeout: 1000d", "timeout: '1000d' is out of bounds; allowed: 10ms to 365d"),
        ("grace: 2h", "grace: '2h' is out of bounds; allowed: 0s to 1h"),
        ("pids: 0", "pids: 0 is out of bounds; allowed: 1 to 4194304"),
        ("pids: 1.5", f"pids: {NUMBERED} 1.5"),
        ("pids: 010", f"pids: {NUMBERED} '010'"),
        ("pids: 0x10", f"pids: {NUMBERED} '0x10'"),
        ("pids: 99999999999999999999", f"pids: {NUMBERED} '99999999999999999999'"),
        ("max_parallel: 0", "max_parallel: 0 is out of bounds; allowed: 1 to 1000000"),
        ("max_parallel: yes", f"max_parallel: {NUMBERED} 'yes'"),
        ("queue: ../x", "queue: '../x' is not allowed here; allowed: letters, digits, '_' and '-'"),
        ("after: job", "after: must be a list, not text"),
        ("after: [a/3]", "after[0]: 'a/3' is not allowed here; allowed: a job's id"),
        ("after: [a, a]", "after[1]: 'a' stands twice"),
        (f"after: [{', '.join('abcdefghijk'[i % 10] for i in range(101))}]", "after: more than 100 entries"),
        ("retries: -1", "retries: -1 is out of bounds; allowed: 0 to 1000"),
        ("retries: lots", f"retries: {NUMBERED} 'lots'"),
        ("retries: {count: 1.5}", f"retries.count: {NUMBERED} 1.5"),
        ("retries: {backoff: 2d}", "retries.backoff: '2d' is out of bounds; allowed: 0s to 1d"),
        ("retries: {backoff: 1m, max_backoff: 1s}", "retries.max_backoff: must not be less than backoff"),
        ("retries: {backoff_factor: 0.5}", "retries.backoff_factor: 0.5 is out of bounds; allowed: 1 to 100"),
        ("retries: {max_memory: 8MiB}", "retries.max_memory: must not be less than memory"),
        ("retries: {rules: {}}", "retries.rules: must be a list, not a mapping"),
        ("retries: {rules: [{then: retry}]}", "retries.rules[0]: a rule needs on (outcomes) or exit_code"),
        ("retries: {rules: [{on: killed}]}", "retries.rules[0].then: missing"),
        ("retries: {rules: [{on: lost, then: fail}]}", "retries.rules[0].on: unknown outcome 'lost'; allowe"),
        (
            "retries: {rules: [{on: [oom, out_of_memry], then: fail}]}",
            "retries.rules[0].on[0]: unknown outcome 'oom'; allowed: failed,",
        ),
        ("retries: {rules: [{exit_code: 0, then: fail}]}", "retries.rules[0].exit_code: 0 is not a failure'"),
        ("retries: {rules: [{exit_code: 9-3, then: fail}]}", "retries.rules[0].exit_code: '9-3' is not a fa"),
        ("retries: {rules: [{exit_code: 256, then: fail}]}", "retries.rules[0].exit_code: 256 is not a fail"),
        (
            "retries: {rules: [{on: killed, then: retry, memory: x0.5}]}",
            "retries.rules[0].memory: 'x0.5' is not a factor; allowed: x1 to x64, like x2 or x1.5",
        ),
        (
            "retries: {rules: [{on: killed, then: fail, memory: x2}]}",
            "retries.rules[0].memory: has no effect: there is no next attempt after fail",
        ),
        ("env: [A=1]", "env: must be a mapping of keys to values, not a list"),
        ("env: {A: true}", "env.A: must be text, not true; put it in quotes if text is meant"),
        ("env: {A: }", "env.A: must be text, not nothing; put it in quotes if text is meant"),
        ("env: {A: [1]}", "env.A: must be text, not a list"),
        ('env: {A: "a\\0b"}', "env.A: must not contain a NUL character"),
        ("env: {1A: x}", "env.1A: '1A' is not allowed here; allowed: letters, digits and '_', not a digit f"),
        ("env: {'A=B': x}", "env.A=B: 'A=B' is not allowed here; allowed: letters"),
        ("env: {AWS_BATCH_JOB_ID: x}", "env.AWS_BATCH_JOB_ID: reserved: names that begin with AWS_BATCH_ or"),
        ("env: {RUNNER_ITEM: x}", "env.RUNNER_ITEM: reserved: names that begin with AWS_BATCH_ or RUNNER_"),
        (f"env: {{A: {'x' * 31 * KIB}}}", "env: payload too large: 31,747 bytes; at most 30,720"),
        ("mounts: [a]", "mounts[0]: 'a' is not a mount; allowed: SOURCE:TARGET[:rw], or a mapping"),
        ("mounts: ['a:/b:rx']", "mounts[0]: 'a:/b:rx' is not a mount"),
        ("mounts: ['.:b']", "mounts[0]: 'b' must be an absolute path, without '..'"),
        ("mounts: ['.:/a/../../etc']", "mounts[0]: '/a/../../etc' must be an absolute path, without '..'"),
        ("mounts: ['.:/']", "mounts[0]: '/' is not free; not allowed: /, and within /scratch, /runner,"),
        ("mounts: ['.://']", "mounts[0]: '//' is not free"),
        ("mounts: ['.:/scratch/x']", "mounts[0]: '/scratch/x' is not free"),
        ("mounts: ['.://runner/.']", "mounts[0]: '//runner/.' is not free"),
        ("mounts: ['.:/a', '.:/a/']", "mounts[1]: '/a' stands twice"),
        ("mounts: [{source: ., target: /a, writable: yes}]", "mounts[0].writable: must be true or false, no"),
        ("secrets: {A: {}}", "secrets.A: exactly one of file (a path), env (a variable's name) and arn must"),
        ("secrets: {A: {file: a, env: B}}", "secrets.A: exactly one of file"),
        ("secrets: {A: {env: B, arn: 'arn:aws:ssm:r:111122223333:parameter/x'}}", "secrets.A: exactly one of file"),
        ("secrets: {A: {arn: 'arn:aws:s3:::bucket'}}", "secrets.A.arn: must be the ARN of a secret of Secrets Mana"),
        ("secrets: {RUNNER_A: {env: B}}", "secrets.RUNNER_A: reserved"),
        ("sidecars: [{name: a, image: b}]", "sidecars: need a job with an image"),
        ("idempotency_key: ''", "idempotency_key: '' is not allowed here; allowed: printable ASCII"),
        ('idempotency_key: "a\\nb"', "idempotency_key: 'a\\nb' is not allowed here"),
        ("array: 0", "array: an array has 1 to 1,000,000 shards, not 0"),
        ("array: -3", "array: an array has 1 to 1,000,000 shards, not -3"),
        ("array: 1000001", "array: an array has 1 to 1,000,000 shards, not 1000001"),
        ("array: 1.5", "array: 1.5 is not an index"),
        ("array: []", "array: an array has 1 to 1,000,000 shards, not 0"),
        ("array: 3,3", "array: index 3 stands twice"),
        ("array: {}", "array: exactly one of indices, lines, items, items_file must be given, not none"),
        ("array: {indices: 3, items: [a]}", "array: exactly one of indices, lines, items, items_file must b"),
        ("array: {indices: 3, only: '3'}", "array.only: index 3 is not in the array; allowed: '0-2'"),
        ("array: {items: []}", "array.items: an array has 1 to 1,000,000 shards, not 0"),
        ("array: {items: [a, b, a]}", "array.items[2]: the same item as at job.yaml:3: array.items[0]; dupl"),
        ("array: {items: ['']}", "array.items[0]: an empty item"),
        ('array: {items: ["a\\0"]}', "array.items[0]: must not contain a NUL character"),
        (f"array: {{items: [{'x' * 31 * KIB}]}}", "array.items[0]: an item of 31,744 bytes; at most 30,720"),
        ("array: {lines: missing}", "array.lines: 'missing' cannot be read: No such file or directory"),
        ("array: {lines: .}", "array.lines: '.' cannot be read: Is a directory"),
        ("array: {items_file: missing}", "array.items_file: 'missing' cannot be read: No such file or direc"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_bad_key_is_refused_by_file_line_and_key(tmp_path: Path, line: str, message: str) -> None:
    text = f"name: j\ncommand: [a]\n{line}\n"
    assert refused(tmp_path, text).startswith(f"job.yaml:3: {message}")


@pytest.mark.parametrize(
    "name", ["", "-j", "../j", "a/b", "a b", "a\nb", "'", '"', "x" * 101, "x" * 10_240, "ä", "a\0"]
)
def test_a_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    told = refused(tmp_path, json.dumps({**MINIMAL, "name": name}))
    assert told.startswith("job.yaml:1: name: ")
    assert len(told) < 250


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "command: must name a program"),
        ([""], "command: must name a program"),
        ("", "command: must be a list, not text"),
        (None, "command: must be a list, not nothing"),
        ({"a": 1}, "command: must be a list, not a mapping"),
        (["a", True], "command[1]: must be text, not true"),
        (["a", "\0"], "command[1]: must not contain a NUL character"),
        ("a\0", "command: must not contain a NUL character"),
        (["a", "x" * 31 * KIB], "command: payload too large: 31,747 bytes; at most 30,720"),
    ],
    ids=itertools.count(),
)
def test_a_command_that_cannot_be_run_is_refused(tmp_path: Path, command: object, message: str) -> None:
    assert refused(tmp_path, json.dumps({"name": "j", "command": command})).startswith(
        f"job.yaml:1: {message}"
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, "image: a\n").split("\n") == [
        "job.yaml: name: missing",
        "job.yaml: command: missing",
    ]


def test_a_job_that_is_too_large_as_a_whole_names_size_and_limit(tmp_path: Path) -> None:
    after = [f"{number:03}{'x' * 250}" for number in range(100)]
    sidecars = [{"name": f"s{n}", "image": "i", "env": {"A": "x" * 29 * KIB}} for n in range(7)]
    told = refused(tmp_path, json.dumps({**MINIMAL, "image": "i", "after": after, "sidecars": sidecars}))
    assert told.startswith("job.yaml: payload too large: the job is 23")
    assert told.endswith("at most 204,800")


def test_an_array_of_scattered_indices_counts_as_payload(tmp_path: Path) -> None:
    assert "payload too large" in refused_flags(tmp_path, array=[1, *range(2, 120_000, 4)])


def test_every_problem_is_told_at_once_in_the_files_order(tmp_path: Path) -> None:
    told = refused(tmp_path, "name: '-'\nvcpus: 0\nimgae: x\nenv:\n  RUNNER_A: 1\ncommand: [a]\n")
    places = [line.split(": ")[:2] for line in told.split("\n")]
    assert places == [
        ["job.yaml:1", "name"],
        ["job.yaml:2", "vcpus"],
        ["job.yaml:3", "imgae"],
        ["job.yaml:5", "env.RUNNER_A"],
    ]


def test_very_many_problems_are_counted_not_listed(tmp_path: Path) -> None:
    told = refused(tmp_path, "".join(f"key{number}: 1\n" for number in range(1000)))
    assert len(told.split("\n")) == 21
    assert told.endswith("… and 982 more problems")


def test_a_problem_behind_an_alias_stands_where_the_alias_does(tmp_path: Path) -> None:
    text = "name: j\nimage: i\nenv: &e {A: true}\ncommand: [a]\nsidecars:\n- name: s\n  image: i\n  env: *e\n"
    assert "job.yaml:8: sidecars[0].env.A: must be text" in refused(tmp_path, text)


# Secrets


@pytest.mark.parametrize(
    "secrets",
    [
        "hunter2",
        ["hunter2"],
        {"A": "hunter2"},
        {"A": ["hunter2"]},
        {"A": {"env": "hunter2!"}},
        {"A": {"file": "x", "env": "hunter2!"}},
        {"A": {"value": "hunter2"}},
    ],
    ids=itertools.count(),
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, secrets: object) -> None:
    assert "hunter2" not in refused(tmp_path, json.dumps({**MINIMAL, "secrets": secrets}))


@pytest.mark.parametrize("secret", ["A=hunter2", "A=hunter2:x", "hunter2", "A=env:hunter2!"])
def test_a_secret_in_a_wrong_flag_is_not_shown(tmp_path: Path, secret: str) -> None:
    told = refused_flags(tmp_path, secrets=(secret,))
    assert told.startswith("--secret")
    assert "hunter2" not in told


def test_a_value_of_the_environment_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in refused(
        tmp_path, json.dumps({**MINIMAL, "env": {"A": "hunter2\0", "B": ["hunter2"]}})
    )


def test_no_error_carries_its_input_along(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        draft_from(None, {**MINIMAL, "secrets": {"A": "hunter2"}}, cwd=tmp_path)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_a_name_cannot_be_a_variable_and_a_secret(tmp_path: Path) -> None:
    told = refused(tmp_path, "name: j\ncommand: [a]\nenv: {A: x}\nsecrets:\n  A: {env: B}\n")
    assert told == "job.yaml:5: secrets.A: is in env too; a name can be only one of them"


def test_a_secrets_file_must_be_there(tmp_path: Path) -> None:
    told = refused(tmp_path, "name: j\ncommand: [a]\nsecrets:\n  A: {file: nowhere}\n")
    assert told.startswith("job.yaml:4: secrets.A.file: '")
    assert told.endswith("nowhere' is not a file")


# Lines and items


def refused_lines(directory: Path, content: bytes, name: str = "in.txt", key: str = "lines") -> str:
    (directory / name).write_bytes(content)
    return refused(directory, json.dumps({**MINIMAL, "array": {key: str(directory / name)}})).removeprefix(
        f"{directory}/"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "in.txt: empty; an array has at least 1 shard"),
        (b"a\n\nb\n", "in.txt:2: an empty item"),
        (b"a\nb\n\n", "in.txt:3: an empty item"),
        (b"a\nb\nc\nb\n", "in.txt:4: the same as line 2; duplicates need allow_duplicates"),
        (b"a\na\r\n", "in.txt:2: the same as line 1; duplicates need allow_duplicates"),
        (b"a\n\xff\n", "in.txt:2: not UTF-8 text"),
        (b"a\nb\0\n", "in.txt:2: must not contain a NUL character"),
        (b"a\n" + b"x" * 31 * KIB, "in.txt:2: an item of 31,744 bytes; at most 30,720"),
        (b"a\n" + b"x" * 1024 * KIB, "in.txt:2: a line of more than 184,322 bytes"),
    ],
    ids=itertools.count(),
)
def test_a_bad_line_is_refused_by_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    assert refused_lines(tmp_path, content).startswith(message)


def test_more_than_a_million_lines_are_refused(tmp_path: Path) -> None:
    content = b"\n".join(b"%d" % number for number in range(1_000_001))
    assert refused_lines(tmp_path, content) == "in.txt: more than 1,000,000 lines"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "in.json: an array has 1 to 1,000,000 shards, not 0"),
        (b"", "in.json: empty; an array has at least 1 shard"),
        (b"[1,", "in.json: not JSON: "),
        (
            b"[1]\n[2]",
            "in.json: not JSON: Extra data at line 2, column 1; JSON lines go into a file named .jsonl",
        ),
        (b"[1, 2, 1]", "in.json: [2]: the same item as at "),
        (b'["a", "\\ud800"]', "in.json: [1]: must not contain a NUL character or half a surrogate pair"),
        (b"[NaN]", "in.json: not JSON: NaN and Infinity are not numbers of JSON"),
        (b"[1e999]", "in.json: [0]: cannot be written as JSON"),
        (b'[{"a": 1, "a": 2}]', "in.json: not JSON: a key stands twice in one object"),
        (b"[" * 100_000, "in.json: not JSON: nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "in.json: not JSON: "),
        (b"\xff", "in.json:1: not UTF-8 text"),
        (b"[\xff]", "in.json: not UTF-8 text"),
        (b'"a"\n{"a": \n', "in.json:2: not JSON: Expecting value at column "),
        (b'"a"\n\n"b"', "in.json:2: an empty item"),
        (b'{"a":1}\n{ "a": 1 }', "in.json:2: the same as line 1; duplicates need allow_duplicates"),
        (b'"a"\n"\\ud800"', "in.json:2: must not contain a NUL character or half a surrogate pair"),
    ],
    ids=itertools.count(),
)
def test_a_bad_item_is_refused_by_file_and_place(tmp_path: Path, content: bytes, message: str) -> None:
    assert refused_lines(tmp_path, content, "in.json", "items_file").startswith(message)


# Flags


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"memory": "lots"}, "--memory: 'lots' is not a size"),
        ({"max_parallel": "0"}, "--max-parallel: 0 is out of bounds; allowed: 1 to 1000000"),
        ({"retries": "x"}, "--retries: must be a whole number, not 'x'"),
        ({"array": "0"}, "--array: an array has 1 to 1,000,000 shards, not 0"),
        ({"array": "3,3"}, "--array: index 3 stands twice"),
        ({"env": ("A",)}, "--env: must be written NAME=VALUE"),
        ({"env": ("RUNNER_A=1",)}, "--env RUNNER_A: reserved"),
        ({"mounts": ("a",)}, "--mount [0]: 'a' is not a mount"),
        ({"after": ("",)}, "--after [0]: '' is not allowed here"),
        ({"command": ("a", "b\0")}, "COMMAND [1]: must not contain a NUL character"),
        ({"each_line": "missing"}, "--each-line: 'missing' cannot be read: No such file or directory"),
        ({"items": "missing"}, "--items: 'missing' cannot be read: No such file or directory"),
        ({"each_line": "a", "items": "b"}, "--array: exactly one of indices, lines, items, items_file must"),
        ({"items": ["a"], "array": "0"}, "--array: an array has 1 to 1,000,000 shards, not 0"),
        ({"items": ["a"], "array": "0,5"}, "--array: index 5 is not in the array; allowed: '0'"),
        ({"allow_duplicates": True}, "--array: exactly one of indices"),
        ({"nmae": "x"}, "--nmae: unknown key; did you mean 'name'?"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_bad_flag_is_named(tmp_path: Path, flags: dict[str, object], message: str) -> None:
    assert refused_flags(tmp_path, **flags).startswith(message)


def test_a_bad_flag_over_a_good_file_is_named_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: j\ncommand: [a]\nmemory: 1GiB\nenv: {A: true}\n")
    with pytest.raises(BadInput) as error:
        draft_from(Path("job.yaml"), {"memory": "1M", "env": ("AWS_BATCH_X=1",)}, cwd=tmp_path)
    places = {line.split(": ")[0] for line in str(error.value).split("\n")}
    assert places == {"--memory", "--env AWS_BATCH_X", "job.yaml:4"}


# Anything at all

SECTIONS = (JobFile, RetriesSection, RuleSection, SidecarSection)
WORDS = sorted(
    {key for section in SECTIONS for key in section.model_fields} | {"lines", "items", "only", "source"}
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1GiB", "10s", "0-9", "x2", "a:/b", "retry", "failed"])
)  # fmt: skip
KEYED = st.sampled_from(WORDS) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYED, inner, max_size=4),
    max_leaves=15,
)


@given(data=st.dictionaries(KEYED, VALUES, max_size=6))
def test_any_mapping_is_a_job_or_bad_input(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    told = ""
    try:
        draft_from(None, {**MINIMAL, **data}, cwd=tmp_path_factory.getbasetemp())
    except BadInput as error:
        told = str(error)
    assert all(line.isprintable() for line in told.split("\n"))


@given(data=st.dictionaries(KEYED, VALUES, max_size=6))
def test_any_json_in_a_file_is_read_as_it_is(data: dict[str, object]) -> None:
    try:
        found = parse(json.dumps(data, ensure_ascii=False).encode(), "job.yaml").data
    except BadInput:
        return
    assert list(found) == list(data)


YAMLISH = st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@, \n\t\\0<?~\x85\u2028"), max_size=60)


@given(st.binary(max_size=100) | YAMLISH.map(str.encode))
def test_any_bytes_are_a_document_or_bad_input(content: bytes) -> None:
    found: Document | BadInput
    try:
        found = parse(content, "job.yaml")
    except BadInput as error:
        found = error
    assert (found.file if isinstance(found, Document) else found.place.file) == "job.yaml"
