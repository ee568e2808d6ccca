"""The program that keeps a network sandbox open: it only ever sleeps.

A static ELF executable of some 130 bytes, written here byte by byte, so that no registry is needed. It runs
as process 1 of its container, which no signal but SIGKILL ends, and needs nothing from an image but itself.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from dataclasses import dataclass

BASE = 0x400000
PAGE = 0x10000  # the largest page either processor may be set to
ELF_HEADER = 64
PROGRAM_HEADER = 56


@dataclass(frozen=True, slots=True)
class Processor:
    elf_machine: int
    code: bytes


def _words(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


PROCESSORS = {
    "amd64": Processor(
        62,
        bytes.fromhex(
            "b822000000"  # start: mov eax, 34 (pause)
            "0f05"  # syscall
            "ebf7"  # jmp start
        ),
    ),
    "arm64": Processor(
        183,
        _words(
            0xD2800000,  # start: mov x0, 0 (no descriptors: without a pause call here, ppoll sleeps)
            0xD2800001,  # mov x1, 0 (none of them)
            0xD2800002,  # mov x2, 0 (for ever)
            0xD2800003,  # mov x3, 0 (signals as they are)
            0xD2800004,  # mov x4, 0
            0xD2800928,  # mov x8, 73 (ppoll)
            0xD4000001,  # svc 0
            0x17FFFFF9,  # b start
        ),
    ),
}

# What the engine calls the processors.
REPOSITORY = "runner-pause"
NAMES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def executable(processor: Processor) -> bytes:
    """An ELF file of one segment, readable and executable, that begins at its code."""
    start = ELF_HEADER + PROGRAM_HEADER
    size = start + len(processor.code)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian, version 1
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        identification,
        2,  # an executable
        processor.elf_machine,
        1,
        BASE + start,
        ELF_HEADER,
        0,
        0,
        ELF_HEADER,
        PROGRAM_HEADER,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, PAGE)
    return header + segment + processor.code


def archive(architecture: str) -> bytes:
    """A root file system of this one program, `/pause`, as a tar archive; the same bytes every time.

    Raises KeyError for a processor there is no code for.
    """
    content = executable(PROCESSORS[NAMES[architecture]])
    entry = tarfile.TarInfo("pause")
    entry.size, entry.mode = len(content), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def image_name(archive: bytes) -> str:
    """Named by its content: another version of this program never meets an image of this one."""
    return f"{REPOSITORY}:{hashlib.sha256(archive).hexdigest()[:16]}"
