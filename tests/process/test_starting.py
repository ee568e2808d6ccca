"""What a task finds when it starts, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runner.adapters.process.engine import ProcessEngine
from runner.adapters.process.environment import INHERITED
from runner.adapters.process.removal import remove_tree
from runner.errors import EngineUnavailable, StartError
from runner.model import Mount, Sidecar
from tests.engines.rig_process import ProcessRig
from tests.engines.rigs import Bench, Capture
from tests.process.waiting import until, zombies

OURS = {"TMPDIR", "RUNNER_HOST", "RUNNER_SCRATCH", "RUNNER_METADATA", "RUNNER_MARK"}
OF_THE_SHELL = {"PWD", "SHLVL", "OLDPWD", "_"}


async def output_of(bench: Bench, *command: str, **changes: object) -> str:
    container, output = await bench.start(bench.spec(*command, **changes))
    await container.wait()
    await container.remove()
    return output.data.decode()


async def test_the_agents_environment_stays_with_the_agent(rig: ProcessRig, tmp_path: Path) -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": "hush", "PATH": os.environ["PATH"], "LANG": "C"}
    engine = ProcessEngine("there", tmp_path, time.time, environ)
    bench = Bench(rig, "there", engine)
    names = {line.split("=")[0] for line in (await output_of(bench, "env")).splitlines()}
    await engine.close()
    assert names - OF_THE_SHELL == {"PATH", "LANG"} | OURS


async def test_every_variable_that_is_passed_on_is_harmless() -> None:
    assert set(INHERITED) == {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}


async def test_a_path_is_there_even_if_the_agent_has_none(rig: ProcessRig, tmp_path: Path) -> None:
    engine = ProcessEngine("there", tmp_path, time.time, {})
    output = await output_of(Bench(rig, "there", engine), "sh", "-c", "echo $PATH")
    await engine.close()
    assert output.strip() == os.defpath


async def test_the_jobs_environment_goes_before_what_is_passed_on(bench: Bench) -> None:
    output = await output_of(bench, "/bin/sh", "-c", "echo $HOME $TMPDIR", env={"HOME": "/x", "TMPDIR": "/y"})
    assert output == "/x /y\n"


async def test_a_job_cannot_pass_for_another_hosts(bench: Bench) -> None:
    output = await output_of(bench, "sh", "-c", "echo $RUNNER_HOST", env={"RUNNER_HOST": "elsewhere"})
    assert output == f"{bench.host}\n"


async def test_no_shell_comes_between(bench: Bench) -> None:
    assert await output_of(bench, "echo", "$HOME", "*", "a  b") == "$HOME * a  b\n"


async def test_there_is_nothing_to_read_from_standard_input(bench: Bench) -> None:
    assert await output_of(bench, "sh", "-c", "cat; echo done") == "done\n"


async def test_no_descriptor_of_the_agents_is_passed_on(bench: Bench) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        output = await output_of(bench, "sh", "-c", f"echo leak >&{writer} && echo open")
    finally:
        os.close(reader)
        os.close(writer)
    assert "open" not in output


async def test_a_closed_pipe_ends_a_writer_as_usual(bench: Bench) -> None:
    output = await output_of(bench, "sh", "-c", "(yes; echo $? >&2) | head -n 1")
    assert sorted(output.split()) == ["141", "y"]


async def test_it_leads_a_session_of_its_own(bench: Bench) -> None:
    output = await output_of(bench, "sh", "-c", "ps -o pid=,pgid=,sid= -p $$")
    assert len(set(output.split())) == 1


async def test_it_starts_in_its_scratch_directory(bench: Bench) -> None:
    script = 'test . -ef "$RUNNER_SCRATCH" && test . -ef "$TMPDIR" && ls -A && echo empty'
    assert await output_of(bench, "sh", "-c", script) == "empty\n"


@pytest.mark.parametrize(
    "litter",
    [
        "echo data > file; mkdir -p a/b; touch a/b/c",
        "mkdir closed; touch closed/in; chmod 0 closed",
        "chmod 0 .",
        "touch .hidden",
        f'{sys.executable} -c \'import os\nfor _ in range(3000): os.mkdir("d"); os.chdir("d")\'',
        "cd ..; rmdir $RUNNER_SCRATCH",
        "cd ..; rmdir $RUNNER_SCRATCH; ln -s / $RUNNER_SCRATCH",
        "cd ..; rmdir $RUNNER_SCRATCH; echo > $RUNNER_SCRATCH",
    ],
)
async def test_the_next_task_finds_nothing_of_the_last(bench: Bench, litter: str) -> None:
    container, _ = await bench.start(bench.script(litter))
    assert (await container.wait()).exit_code == 0
    await container.remove()
    assert await bench.rig.leftovers(bench.host) == []
    assert await output_of(bench, "sh", "-c", "ls -A . && stat -c %a .") == "700\n"


async def test_what_a_task_left_is_gone_but_what_a_link_pointed_to_is_not(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").touch()
    script = f"ln -s {tmp_path}/precious link; cd ..; rmdir no 2> /dev/null; true"
    container, _ = await bench.start(bench.script(script))
    await container.wait()
    await container.remove()
    assert (tmp_path / "precious" / "data").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="takes a directory where nobody may remove anything")
def test_what_cannot_be_removed_is_told_in_the_log() -> None:
    with capture_logs() as told:
        remove_tree(f"/proc/{os.getpid()}/attr")
    assert [each["event"] for each in told] == ["cannot remove scratch space"]


async def test_tasks_at_the_same_time_have_different_directories(bench: Bench) -> None:
    async def where() -> str:
        return await output_of(bench, "sh", "-c", "pwd; sleep 0.1")

    assert len(set(await asyncio.gather(*(where() for _ in range(5))))) == 5


async def test_metadata_is_what_was_written_so_far(bench: Bench) -> None:
    container, output = await bench.start(bench.script("echo k=v > $RUNNER_METADATA; echo; sleep 60"))
    await until(lambda: output.data != b"")
    assert await container.metadata() == b"k=v\n"
    await container.remove()
    assert await container.metadata() == b""


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("mkfifo $RUNNER_METADATA", 0),
        ("ln -s /etc/passwd $RUNNER_METADATA", 0),
        ("mkdir $RUNNER_METADATA", 0),
        ("head -c 100000 /dev/zero > $RUNNER_METADATA", 64 * 1024),
    ],
)
async def test_metadata_can_neither_block_nor_lead_elsewhere_nor_grow(
    bench: Bench, script: str, seen: int
) -> None:
    container, _ = await bench.start(bench.script(script))
    await container.wait()
    assert len(await container.metadata()) == seen


def script_file(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def open_descriptors() -> int:
    """How many there are, without those that earlier tests' garbage holds: it may go at any moment."""
    gc.collect()
    return len(os.listdir("/dev/fd"))


async def refusal(bench: Bench, command: Sequence[str], **changes: object) -> str:
    """What is said, once it is sure that nothing was left behind."""
    descriptors, unreaped = open_descriptors(), zombies()
    with pytest.raises(StartError) as refused:
        await bench.start(bench.spec(*command, **changes))
    assert await bench.rig.leftovers(bench.host) == []
    assert open_descriptors() <= descriptors, "a descriptor was left open"
    assert set(zombies()) <= set(unreaped)
    return str(refused.value)


async def test_a_missing_command_is_named(bench: Bench) -> None:
    assert await refusal(bench, ["no-such-thing", "arg"]) == "no such command: 'no-such-thing'"


async def test_a_command_is_looked_for_in_the_tasks_own_path(bench: Bench) -> None:
    assert "no such command" in await refusal(bench, ["true"], env={"PATH": "/nowhere"})


async def test_a_file_that_may_not_be_executed_is_named(bench: Bench, tmp_path: Path) -> None:
    path = script_file(tmp_path / "data", "#!/bin/sh\n", stat.S_IRUSR)
    assert await refusal(bench, [path]) == f"not executable: {path!r}"


async def test_a_script_without_its_interpreter_is_told_apart(bench: Bench, tmp_path: Path) -> None:
    path = script_file(tmp_path / "script", "#!/no/such/interpreter\n", 0o755)
    assert await refusal(bench, [path]) == f"the interpreter that {path} asks for is missing"


async def test_a_file_that_is_no_program_is_told_apart(bench: Bench, tmp_path: Path) -> None:
    path = script_file(tmp_path / "noise", "no program\n", 0o755)
    assert "Exec format error" in await refusal(bench, [path])


async def test_a_nul_is_refused_without_repeating_it(bench: Bench) -> None:
    message = await refusal(bench, ["true"], env={"SECRET": "hush\0hush"})
    assert "NUL" in message
    assert "hush" not in message


async def test_a_command_too_long_for_the_system_is_refused(bench: Bench) -> None:
    assert "too long" in await refusal(bench, ["true", "x" * 10_000_000])


async def test_without_a_command_there_is_nothing_to_run(bench: Bench) -> None:
    assert "no command" in await refusal(bench, [])


async def test_a_mount_elsewhere_is_refused_with_what_to_do(bench: Bench, tmp_path: Path) -> None:
    message = await refusal(bench, ["true"], mounts=(Mount(str(tmp_path), "/data"),))
    assert "give the same path twice" in message


async def test_a_mount_that_is_not_there_is_refused(bench: Bench) -> None:
    assert "/no/such" in await refusal(bench, ["true"], mounts=(Mount("/no/such", "/no/such"),))


async def test_a_mount_at_its_own_path_is_there_anyway(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("shared")
    mounts = (Mount(str(tmp_path), str(tmp_path)),)
    assert await output_of(bench, "cat", str(tmp_path / "data"), mounts=mounts) == "shared"


async def test_a_sidecar_that_cannot_start_is_named_and_ends_the_others(bench: Bench) -> None:
    sidecars = (
        Sidecar("good", "any", ("sleep", "60")),
        Sidecar("bad", "any", ("no-such-thing",)),
    )
    assert "'bad'" in await refusal(bench, ["true"], sidecars=sidecars)


async def test_a_command_that_cannot_start_ends_its_sidecars(bench: Bench) -> None:
    await refusal(bench, ["no-such-thing"], sidecars=(Sidecar("good", "any", ("sleep", "60")),))


async def test_no_room_for_a_scratch_directory_is_the_hosts_fault(rig: ProcessRig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = ProcessEngine("there", tmp_path / "file", time.time)
    with pytest.raises(EngineUnavailable, match="scratch directory"):
        await engine.start(rig.spec("there", ["true"]), Capture())
    await engine.close()


async def test_the_same_name_again_replaces_what_had_it(bench: Bench) -> None:
    spec = bench.spec("sleep", "60")
    first, _ = await bench.start(spec)
    second, _ = await bench.start(spec)
    assert (await first.wait()).signal is not None
    assert len([name for name in await bench.rig.leftovers(bench.host) if name.startswith("sleep")]) == 1
    await second.remove()


def test_outside_the_main_thread_it_says_why_it_cannot_work(tmp_path: Path) -> None:
    async def start() -> str:
        engine = ProcessEngine("there", tmp_path, time.time)
        with pytest.raises(EngineUnavailable) as refused:
            await engine.start(ProcessRig(tmp_path).spec("there", ["true"]), Capture())
        await engine.close()
        return str(refused.value)

    async def elsewhere() -> str:
        return await asyncio.to_thread(asyncio.run, start())

    assert "main thread" in asyncio.run(elsewhere())
