"""The program of the network sandboxes, byte by byte."""

from __future__ import annotations

import asyncio
import io
import platform
import shutil
import signal
import struct
import tarfile
from pathlib import Path

import psutil
import pytest

from runner.adapters.docker.pause import BASE, NAMES, PROCESSORS, archive, executable, image_name

BOTH = sorted(PROCESSORS)
HERE = NAMES.get(platform.machine(), "")


def code_of(name: str) -> bytes:
    return PROCESSORS[name].code


@pytest.mark.parametrize(("name", "machine"), [("amd64", 62), ("arm64", 183)])
def test_it_is_an_executable_for_its_processor(name: str, machine: int) -> None:
    program = executable(PROCESSORS[name])
    magic, bits, order, version = struct.unpack_from("<4sBBB", program)
    kind, processor = struct.unpack_from("<HH", program, 16)
    assert (magic, bits, order, version, kind, processor) == (b"\x7fELF", 2, 1, 1, 2, machine)


@pytest.mark.parametrize("name", BOTH)
def test_its_one_segment_is_the_whole_file_and_starts_at_the_code(name: str) -> None:
    program = executable(PROCESSORS[name])
    entry, headers = struct.unpack_from("<QQ", program, 24)
    assert struct.unpack_from("<HHH", program, 52) == (64, 56, 1)
    kind, rights, offset, address, _, in_file, in_memory, page = struct.unpack_from(
        "<IIQQQQQQ", program, headers
    )
    assert (kind, rights, offset, address) == (1, 5, 0, BASE)  # loaded, read and executed, never written
    assert in_file == in_memory == len(program)
    assert address % page == offset % page
    assert program[entry - address :] == code_of(name)


def test_on_amd64_it_calls_pause_and_goes_round() -> None:
    code = code_of("amd64")
    assert code[0] == 0xB8  # mov eax, immediate
    assert struct.unpack_from("<I", code, 1) == (34,)
    assert code[5:7] == b"\x0f\x05"  # syscall
    jump, distance = struct.unpack_from("<Bb", code, 7)
    assert (jump, 9 + distance) == (0xEB, 0)


def test_on_arm64_it_calls_ppoll_of_nothing_for_ever_and_goes_round() -> None:
    words = struct.unpack("<8I", code_of("arm64"))
    moves = [(word & 0x1F, (word >> 5) & 0xFFFF) for word in words[:6]]
    assert all(word >> 21 == 0xD2800000 >> 21 for word in words[:6])  # movz x, immediate
    assert moves == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (8, 73)]
    assert words[6] == 0xD4000001  # svc 0
    distance = (words[7] & 0x3FFFFFF) - (1 << 26)
    assert (words[7] >> 26, 7 + distance) == (0b000101, 0)  # b, back to the first word


@pytest.mark.parametrize("name", NAMES)
def test_its_image_is_the_same_bytes_every_time(name: str) -> None:
    assert archive(name) == archive(name)
    with tarfile.open(fileobj=io.BytesIO(archive(name))) as tar:
        [entry] = tar.getmembers()
    assert (entry.name, entry.mode) == ("pause", 0o755)


def test_images_of_different_programs_have_different_names() -> None:
    assert image_name(archive("amd64")) != image_name(archive("arm64"))
    assert image_name(archive("x86_64")) == image_name(archive("amd64"))


async def sleeps_until_killed(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.3)
    state = psutil.Process(process.pid).status()
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    assert state == psutil.STATUS_SLEEPING


@pytest.mark.skipif(platform.system() != "Linux" or not HERE, reason="no such program for this machine")
async def test_it_runs_here_and_does_nothing(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(executable(PROCESSORS[HERE]))
    program.chmod(0o755)
    await sleeps_until_killed(str(program))


QEMU = {"arm64": "qemu-aarch64", "amd64": "qemu-x86_64"}


@pytest.mark.parametrize("name", [name for name in BOTH if name != HERE])
async def test_it_runs_on_the_other_processor_if_that_can_be_emulated(name: str, tmp_path: Path) -> None:
    emulator = shutil.which(QEMU[name]) or shutil.which(f"{QEMU[name]}-static")
    if emulator is None:
        pytest.skip(f"{QEMU[name]} is not installed")
    program = tmp_path / "pause"
    program.write_bytes(executable(PROCESSORS[name]))
    program.chmod(0o755)
    await sleeps_until_killed(emulator, str(program))
