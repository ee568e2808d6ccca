"""From a job file and flags to a job; and the page about job files."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.admission import check_against
from controller.draft import JobDraft, draft_from, to_job
from controller.items import Listed
from controller.jobfile import JobFile
from controller.layers import argument
from runner.array import Array
from runner.documents import parse, resolved
from runner.errors import BadInput
from runner.model import Job, Kind, Limits, Mount, Retry, Rule, Secret, Sidecar
from runner.ports import Capacity
from runner.schema import Section
from runner.validation import validated
from runner.wording import Loc, dotted

PAGE = (Path(__file__).parent.parent / "docs" / "jobfile.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = {
    key: default.strip().strip("`")
    for key, default in re.findall(r"^\| `([a-z_][A-Za-z_.\[\]]*)` \|([^|]*)\|", PAGE, re.MULTILINE)
}
MINIMAL: dict[str, object] = {"name": "j", "command": ["true"]}


class KeptManifests:
    """Keeps what is put."""

    def __init__(self) -> None:
        self.kept: list[list[str]] = []

    async def put(self, items: Sequence[str] | AsyncIterator[str]) -> str:
        listed = [item async for item in items] if isinstance(items, AsyncIterator) else list(items)
        self.kept.append(listed)
        return f"manifest-{len(self.kept)}"

    async def get(self, manifest: str, index: int) -> str:
        return self.kept[int(manifest.removeprefix("manifest-")) - 1][index]


def drafted(directory: Path, text: str, **overrides: object) -> JobDraft:
    (directory / "job.yaml").write_text(text)
    return draft_from(Path("job.yaml"), overrides, cwd=directory)


def from_flags(directory: Path, **overrides: object) -> JobDraft:
    return draft_from(None, {**MINIMAL, **overrides}, cwd=directory)


def body(**keys: object) -> str:
    """A job file; JSON is YAML."""
    return json.dumps({**MINIMAL, **keys})


async def stored(draft: JobDraft) -> tuple[Job, list[str]]:
    manifests = KeptManifests()
    job = await to_job(draft, id="id-1", now=lambda: 12.5, manifests=manifests, after=("id-0",))
    return job, manifests.kept[0] if manifests.kept else []


# What the keys become


def test_the_smallest_job_has_the_defaults(tmp_path: Path) -> None:
    job = drafted(tmp_path, "name: j\ncommand: [a, b]\n").job
    assert job == Job(id="", name="j", command=("a", "b"), array=Array.of_size(1))


def test_a_command_that_is_text_is_a_shells(tmp_path: Path) -> None:
    assert drafted(tmp_path, "name: j\ncommand: a | b\n").job.command == ("sh", "-c", "a | b")


def test_numbers_are_text_as_they_are_written(tmp_path: Path) -> None:
    text = "name: j\ncommand: [a, 1, 1.10, 010, 1:30, no, 0x1F, 1e3]\nenv: {A: 1.10, B: 07, C: no, D: -0}\n"
    job = drafted(tmp_path, text).job
    assert job.command == ("a", "1", "1.10", "010", "1:30", "no", "0x1F", "1e3")
    assert job.env == {"A": "1.10", "B": "07", "C": "no", "D": "-0"}


def test_limits_are_seconds_and_bytes(tmp_path: Path) -> None:
    text = body(vcpus=1.5, memory="2GiB", timeout="1h30m", grace="30s", pids=64)
    assert drafted(tmp_path, text).job.limits == Limits(1.5, 2 * 1024**3, 5400, 30, 64)


def test_retries_may_be_a_number(tmp_path: Path) -> None:
    assert drafted(tmp_path, body(retries=3)).job.retry == Retry(retries=3)


def test_retries_may_say_everything(tmp_path: Path) -> None:
    rules = [
        {"on": "out_of_memory", "then": "retry", "memory": "x1.5"},
        {"on": ["killed", "timed_out"], "exit_code": [3, "10-20"], "then": "fail"},
    ]
    keys = {
        "count": 2,
        "infra": 4,
        "backoff": "5s",
        "backoff_factor": 3,
        "max_backoff": "1m",
        "max_memory": "1GiB",
    }
    assert drafted(tmp_path, body(retries={**keys, "rules": rules})).job.retry == Retry(
        retries=2,
        infra_retries=4,
        backoff=5,
        backoff_factor=3,
        max_backoff=60,
        max_memory=1024**3,
        rules=(
            Rule(True, frozenset({Kind.OUT_OF_MEMORY}), memory_factor=1.5),
            Rule(False, frozenset({Kind.KILLED, Kind.TIMED_OUT}), ((3, 3), (10, 20))),
        ),
    )


def test_a_backoff_above_the_default_bound_raises_the_bound(tmp_path: Path) -> None:
    assert drafted(tmp_path, body(retries={"backoff": "10m"})).job.retry.max_backoff == 600


def test_a_mount_may_be_written_short_or_long(tmp_path: Path) -> None:
    text = body(mounts=[".:/a", ".:/b:rw", ".:/c:ro", {"source": ".", "target": "/d/", "writable": True}])
    source = str(tmp_path)
    assert drafted(tmp_path, text).job.mounts == (
        Mount(source, "/a"),
        Mount(source, "/b", True),
        Mount(source, "/c"),
        Mount(source, "/d", True),
    )


def test_secrets_come_from_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    text = body(secrets={"A": {"file": "token"}, "B": {"env": "HOST_B"}})
    assert drafted(tmp_path, text).job.secrets == (
        Secret("A", "file", str(tmp_path / "token")),
        Secret("B", "env", "HOST_B"),
    )


def test_sidecars_are_read(tmp_path: Path) -> None:
    sidecar = {"name": "cache", "image": "redis:7", "command": ["serve"], "env": {"A": 1}, "memory": "64MiB"}
    assert drafted(tmp_path, body(image="busybox", sidecars=[sidecar])).job.sidecars == (
        Sidecar("cache", "redis:7", ("serve",), {"A": "1"}, 64 * 1024**2),
    )


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "python:3.12-slim",
        "team/tool_x/a--b",
        "localhost:5000/tool",
        "registry.example.com/team/tool:v1@sha256:" + "0" * 64,
        "sha256:" + "0" * 64,
    ],
)
def test_an_image_reference_is_taken(tmp_path: Path, image: str) -> None:
    assert from_flags(tmp_path, image=image).job.image == image


def test_anchors_and_merge_keys_are_written_out(tmp_path: Path) -> None:
    text = (
        "name: j\nimage: i\ncommand: [a]\nenv: &base {A: 1, B: 2}\n"
        "sidecars:\n- {name: s, image: i, env: {<<: *base, B: 3}}\n"
    )
    assert drafted(tmp_path, text).job.sidecars[0].env == {"A": "1", "B": "3"}


# Arrays


@pytest.mark.parametrize("array", [100, "100", "0-99", {"indices": 100}, {"indices": "0-99"}])
def test_an_array_may_be_a_size_or_indices(tmp_path: Path, array: object) -> None:
    assert drafted(tmp_path, body(array=array)).job.array == Array.of_size(100)


def test_only_some_indices_keep_the_total(tmp_path: Path) -> None:
    array = drafted(tmp_path, body(array={"indices": 100, "only": "3,7"})).job.array
    assert (list(array), array.total) == ([3, 7], 100)


async def test_lines_are_stored_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\xef\xbb\xbfa b \r\n\xc3\xa4\n last")
    job, items = await stored(drafted(tmp_path, body(array={"lines": "in.txt"})))
    assert items == ["a b ", "ä", " last"]
    assert job.array == Array.of_size(3, "manifest-1")


async def test_only_some_lines_keep_index_and_manifest(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    job, items = await stored(drafted(tmp_path, body(array={"lines": "in.txt", "only": "1-2"})))
    assert (list(job.array), job.array.total, len(items)) == ([1, 2], 3, 3)


async def test_items_are_text_or_json(tmp_path: Path) -> None:
    text = "name: j\ncommand: [a]\narray:\n  items: [a, 1.10, 7, {x: [1, ä]}, true, null]\n"
    _, items = await stored(drafted(tmp_path, text))
    assert items == ["a", "1.10", "7", '{"x":[1,"ä"]}', "true", "null"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.json", ' [\n"a", {"x": 1}]'),
        ("items.json", '"a"\n{"x": 1}\n'),
        ("items.jsonl", '"a"\n{ "x":1 }'),
    ],
)
async def test_an_items_file_is_a_list_or_lines(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    _, items = await stored(drafted(tmp_path, body(array={"items_file": name})))
    assert items == ["a", '{"x":1}']


async def test_json_lines_may_be_lists(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text("[1]\n[2]\n")
    _, items = await stored(drafted(tmp_path, body(array={"items_file": "items.jsonl"})))
    assert items == ["[1]", "[2]"]


async def test_duplicates_that_are_meant_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\na\n")
    _, items = await stored(drafted(tmp_path, body(array={"lines": "in.txt", "allow_duplicates": True})))
    assert items == ["a", "a"]


async def test_lines_from_a_pipe_are_kept_aside(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a\nb\n")
    os.close(writer)
    _, items = await stored(from_flags(tmp_path, each_line=f"/dev/fd/{reader}"))
    os.close(reader)
    assert items == ["a", "b"]


async def test_a_dash_is_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    _, items = await stored(from_flags(tmp_path, each_line="-"))
    assert items == ["a", "b"]


async def test_a_json_list_on_one_long_line_may_come_through_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"item {number:06}" for number in range(50_000)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(given).encode())))
    _, items = await stored(from_flags(tmp_path, items="-"))
    assert items == given


async def test_a_file_that_changed_after_the_check_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n")
    draft = drafted(tmp_path, body(array={"lines": "in.txt"}))
    (tmp_path / "in.txt").write_text("a\nc\n")
    with pytest.raises(BadInput, match="changed while it was read"):
        await stored(draft)


lines = st.lists(
    st.text(st.characters(blacklist_characters="\n\r\0", blacklist_categories=["Cs"]), min_size=1), min_size=1
)


@given(lines.filter(lambda found: not found[0].startswith("\ufeff")))
async def test_any_lines_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("lines")
    (directory / "in.txt").write_bytes("\n".join(lines).encode())
    _, items = await stored(from_flags(directory, each_line="in.txt", allow_duplicates=True))
    assert items == lines


# Flags over the file


def test_a_flag_goes_before_the_file(tmp_path: Path) -> None:
    draft = drafted(tmp_path, body(memory="1GiB", vcpus=2), memory="2GiB", timeout=None)
    assert (draft.job.limits.memory, draft.job.limits.vcpus) == (2 * 1024**3, 2)


@pytest.mark.parametrize("empty", [(), [], None])
def test_a_flag_never_given_changes_nothing(tmp_path: Path, empty: object) -> None:
    draft = drafted(tmp_path, body(env={"A": "1"}, after=["x"]), env=empty, after=empty, command=empty)
    assert (draft.job.env, draft.after, draft.job.command) == ({"A": "1"}, ("x",), ("true",))


def test_variables_are_laid_over_by_name(tmp_path: Path) -> None:
    draft = drafted(tmp_path, body(env={"A": "1", "B": "2"}), env=("B=3", "C=x=y"))
    assert draft.job.env == {"A": "1", "B": "3", "C": "x=y"}


def test_a_count_of_retries_leaves_the_other_keys(tmp_path: Path) -> None:
    draft = drafted(tmp_path, body(retries={"count": 1, "backoff": "5s"}), retries="4")
    assert (draft.job.retry.retries, draft.job.retry.backoff) == (4, 5)


def test_flags_may_be_text(tmp_path: Path) -> None:
    job = from_flags(tmp_path, vcpus="0.5", pids="10", max_parallel="7", retries="2", timeout="90").job
    assert (job.limits.vcpus, job.limits.pids, job.max_parallel) == (0.5, 10, 7)
    assert (job.retry.retries, job.limits.timeout) == (2, 90)


def test_indices_over_the_files_indices_replace_them(tmp_path: Path) -> None:
    assert drafted(tmp_path, body(array=100), array="3,7").job.array.total == 2


@pytest.mark.parametrize(("array", "chosen"), [("1", [0]), ("2", [0, 1]), ("1-2", [1, 2]), ("0,2", [0, 2])])
def test_indices_over_lines_choose_among_them(tmp_path: Path, array: str, chosen: list[int]) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    from_file = drafted(tmp_path, body(array={"lines": "in.txt"}), array=array).job.array
    by_flags = from_flags(tmp_path, each_line="in.txt", array=array).job.array
    assert list(from_file) == list(by_flags) == chosen
    assert from_file.total == by_flags.total == 3


def test_lines_by_flag_replace_the_files_array(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n")
    assert drafted(tmp_path, body(array=100), each_line="in.txt").job.array.total == 2


def test_paths_of_a_file_are_relative_to_it_and_those_of_flags_to_here(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.yaml").write_text(body(mounts=["./in:/in"], secrets={"A": {"file": "a"}}))
    for path in ("jobs/in", "jobs/a", "b"):
        (tmp_path / path).touch()
    draft = draft_from(Path("jobs/job.yaml"), {"secrets": ["B=file:b"]}, cwd=tmp_path)
    assert draft.job.mounts[0].source == str(tmp_path / "jobs" / "in")
    assert [secret.reference for secret in draft.job.secrets] == [
        str(tmp_path / "jobs" / "a"),
        str(tmp_path / "b"),
    ]


def test_secrets_may_be_flags(tmp_path: Path) -> None:
    assert from_flags(tmp_path, secrets=("A=env:HOST_A",)).job.secrets == (Secret("A", "env", "HOST_A"),)


ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:password::"


def test_secrets_come_from_arns(tmp_path: Path) -> None:
    assert drafted(tmp_path, body(secrets={"A": {"arn": ARN}})).job.secrets == (Secret("A", "arn", ARN),)
    assert from_flags(tmp_path, secrets=(f"A={ARN}",)).job.secrets == (Secret("A", "arn", ARN),)


def test_a_call_from_python_may_use_its_own_types(tmp_path: Path) -> None:
    job = from_flags(
        tmp_path, command=("a",), array=range(0, 10, 2), mounts=[{"source": tmp_path, "target": "/m"}]
    ).job
    assert (list(job.array), job.mounts[0].source) == ([0, 2, 4, 6, 8], str(tmp_path))


def test_items_from_python_are_a_list(tmp_path: Path) -> None:
    items = from_flags(tmp_path, items=["a", {"x": 1}]).items
    assert items == Listed(("a", '{"x":1}'))


def test_errors_of_a_call_name_the_argument(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        draft_from(None, {**MINIMAL, "memory": "1M", "retries": {"backof": 1}}, cwd=tmp_path, label=argument)
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == ["memory", "retries.backof"]


# Into a job


async def test_a_job_gets_its_id_time_and_parents(tmp_path: Path) -> None:
    draft = from_flags(tmp_path, after=["first"])
    job, _ = await stored(draft)
    assert job == replace(draft.job, id="id-1", created_at=12.5, after=("id-0",))


async def test_a_range_stores_nothing(tmp_path: Path) -> None:
    manifests = KeptManifests()
    await to_job(from_flags(tmp_path, array=10), id="i", now=lambda: 0.0, manifests=manifests, after=())
    assert manifests.kept == []


def test_a_drafts_text_shows_no_variable_of_the_layers(tmp_path: Path) -> None:
    draft = from_flags(tmp_path, env={"A": "value-of-a"})
    assert repr(draft).count("value-of-a") == 1


# Against the installation

SMALL = Capacity(vcpus=2, memory=1024**3)


def test_a_job_that_fits_is_taken(tmp_path: Path) -> None:
    check_against(from_flags(tmp_path, vcpus=2, memory="1GiB"), {"default": [SMALL]})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"queue": "defalt"},
            "--queue: unknown queue 'defalt'; did you mean 'default'? allowed: default, fast",
        ),
        ({"vcpus": 3}, "--vcpus: a task needs 3 vCPUs; the largest machine has 2"),
        ({"memory": "2GiB"}, "--memory: a task needs 2GiB; the largest machine has 1GiB"),
        (
            {"memory": "1GiB", "image": "i", "sidecars": [{"name": "s", "image": "i", "memory": "1GiB"}]},
            "--memory: a task with its sidecars needs 2GiB; the largest machine has 1GiB",
        ),
    ],
)
def test_a_job_that_nothing_here_can_take_is_refused(
    tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput) as error:
        check_against(from_flags(tmp_path, **keys), {"default": [SMALL], "fast": [SMALL]})
    assert str(error.value) == message


def test_memory_that_may_only_grow_within_the_machine_is_taken(tmp_path: Path) -> None:
    rules = [{"on": "out_of_memory", "then": "retry", "memory": "x64"}]
    retries = {"count": 1000, "max_memory": "1GiB", "rules": rules}
    check_against(from_flags(tmp_path, retries=retries), {"default": [SMALL]})


@pytest.mark.parametrize(
    ("job", "processes", "message"),
    [
        (
            "command: [a]",
            False,
            "job.yaml: image: missing: here everything runs in containers",
        ),
        (
            "command: [a]\nmounts: ['/etc:/elsewhere']",
            True,
            (
                "job.yaml:3: mounts[0]: '/etc' at another path, '/elsewhere': only containers have mounts; "
                "give the same path twice"
            ),
        ),
    ],
)
def test_a_job_that_no_engine_here_can_run_is_refused(
    tmp_path: Path, job: str, processes: bool, message: str
) -> None:
    with pytest.raises(BadInput) as error:
        check_against(drafted(tmp_path, f"name: j\n{job}\n"), {"default": [SMALL]}, processes=processes)
    assert str(error.value) == message


def test_a_sidecar_that_runs_without_its_image_needs_a_command(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "name: j\ncommand: [a]\nimage: i\nsidecars: [{name: s, image: i}]\n")
    bare = replace(draft, job=replace(draft.job, bare=True))
    with pytest.raises(BadInput, match=r"job.yaml:4: sidecars\[0\].command: missing"):
        check_against(bare, {"default": [SMALL]})


def test_what_nothing_can_take_is_told_by_file_and_line(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "name: j\ncommand: [a]\nvcpus: 64\nqueue: gpu\n")
    with pytest.raises(BadInput) as error:
        check_against(draft, {"default": [SMALL]})
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == ["job.yaml:3", "job.yaml:4"]


# The page


def model_keys(section: type[Section], prefix: str = "") -> set[str]:
    keys = set()
    for name, field in section.model_fields.items():
        keys.add(prefix + name)
        text = repr(field.annotation)
        inner = next((found for found in SECTIONS if found.__name__ in text), None)
        if inner:
            many = "[]" if "list[" in text else ".NAME" if "dict[" in text else ""
            keys |= model_keys(inner, f"{prefix}{name}{many}.")
    return keys


SECTIONS = Section.__subclasses__()


def as_documented(loc: Loc) -> str:
    return re.sub(r"^(secrets)\.\w+", r"\1.NAME", re.sub(r"\[\d+\]", "[]", dotted(loc)))


def test_the_page_documents_every_key_and_no_other() -> None:
    assert set(ROWS) == model_keys(JobFile)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_every_example_is_right(example: str) -> None:
    document = parse(example.encode(), "docs")
    validated(JobFile, document.data, document.place)


def test_every_key_has_an_example() -> None:
    used = {as_documented(loc) for example in EXAMPLES for loc in parse(example.encode(), "docs").lines}
    assert set(ROWS) - used == set()


WITH_DEFAULT = [key for key, default in ROWS.items() if default not in ("", "required") and "[]" not in key]


@pytest.mark.parametrize("key", WITH_DEFAULT)
def test_a_documented_default_is_the_default(tmp_path: Path, key: str) -> None:
    *section, name = key.split(".")
    inner = {"array": "items: [a], "}.get(section[0], "") if section else ""
    line = f"{section[0]}: {{{inner}{name}: {ROWS[key]}}}" if section else f"{name}: {ROWS[key]}"
    plain = "array: {items: [a]}" if inner else "vcpus: 1"
    head = "name: j\ncommand: [a]\n"
    assert drafted(tmp_path, f"{head}{line}\n").job == drafted(tmp_path, f"{head}{plain}\n").job


def test_documented_defaults_of_listed_sections_are_the_defaults(tmp_path: Path) -> None:
    head = "name: j\nimage: i\ncommand: [a]\n"
    shown = (
        f"retries: {{rules: [{{on: failed, then: retry, memory: {ROWS['retries.rules[].memory']}}}]}}\n"
        f"mounts: [{{source: ., target: /m, writable: {ROWS['mounts[].writable']}}}]\n"
        f"sidecars: [{{name: s, image: i, memory: {ROWS['sidecars[].memory']}}}]\n"
    )
    left_out = (
        "retries: {rules: [{on: failed, then: retry}]}\n"
        "mounts: [{source: ., target: /m}]\n"
        "sidecars: [{name: s, image: i}]\n"
    )
    assert drafted(tmp_path, head + shown).job == drafted(tmp_path, head + left_out).job


def test_a_path_in_the_users_home_is_found_there() -> None:
    assert resolved(Path("/base"), "~/x") == Path.home() / "x"
