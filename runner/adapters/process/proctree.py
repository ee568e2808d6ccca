"""Who descends from whom, and adopting orphans: cheap on Linux; elsewhere psutil tells only the first."""

from __future__ import annotations

import ctypes
import os
import sys

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_PF_FORKNOEXEC = 0x40
_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
_TELLS_STATE = os.path.exists("/proc/self/stat")


def adopt_orphans() -> bool:
    """Make this process, not init, the parent of its orphaned descendants. False where that is impossible.

    A daemon that a task started then turns up among our children and can be ended with its task. It holds as
    long as this process lives, and not for its children.
    """
    if not (sys.platform == "linux" and _LISTS_CHILDREN):
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def children(pid: int) -> list[int]:
    """The direct children of `pid`; none if it is gone."""
    if not _LISTS_CHILDREN:
        return _children_by_scan(pid)
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += _children_of_thread(f"/proc/{pid}/task/{thread}/children")
    except OSError:
        pass
    return found


def own_children() -> list[int]:
    """Ours. The kernel hands orphans to the main thread, and only there do we start tasks."""
    pid = os.getpid()
    return _children_of_thread(f"/proc/{pid}/task/{pid}/children")


def is_adopted_corpse(pid: int) -> bool:
    """Whether our child has ended, unwaited for, and can only be an orphan that we adopted (Linux).

    One that this process started and that is somebody else's to wait for is in our session, or leads its own
    and has executed a program; the ends of a daemon's forks are neither.
    """
    fields = _stat(pid)
    if not fields:
        return False
    state, session, flags = fields[0], int(fields[3]), int(fields[6])
    if state != "Z" or session == os.getsid(0):
        return False
    return session != pid or bool(flags & _PF_FORKNOEXEC)


def started(pid: int) -> str | None:
    """When it was started, exactly as the system counts: with its pid the name of a process that no other
    gets while the system runs. None if there is none.
    """
    if _TELLS_STATE:
        fields = _stat(pid)
        return fields[19] if fields else None
    try:
        return repr(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def descendants(pid: int) -> list[int]:
    """All below `pid`, itself left out."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [grandchild for child in level for grandchild in children(child)]
    return found


def lives(process: psutil.Process) -> bool:
    """Whether it is still the same process and has not ended, waited for or not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _stat(pid: int) -> list[str]:
    """What the kernel says of it, from its state on; nothing if it is gone."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        # At once, and as bytes: a third of the time, which each task takes. All numbers at their longest fit.
        return os.read(file, 4096).rpartition(b") ")[2].decode().split()
    except OSError:
        return []
    finally:
        os.close(file)


def _children_of_thread(path: str) -> list[int]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    words = bytearray()
    try:
        while chunk := os.read(file, 1 << 16):
            words += chunk
    except OSError:
        pass
    finally:
        os.close(file)
    return [int(word) for word in words.split()]


def _children_by_scan(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []
