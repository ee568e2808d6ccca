"""What this machine says of itself: room, disk, and the limits of a container around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.adapters.cgroups import cpu_limit, memory_limit
from runner.adapters.local import LocalHost
from runner.ports import Capacity
from runner.settings import AgentSettings

GIB = 1024**3


PLAIN = AgentSettings()


def host(settings: AgentSettings = PLAIN, **disk: int) -> LocalHost:
    made = {"f_frsize": 4096, "f_bavail": GIB, "f_files": 1000, "f_favail": 500, **disk}
    return LocalHost("here", settings, Path("/data/logs"), disk=lambda _: statvfs(**made))


def statvfs(**fields: int) -> os.statvfs_result:
    order = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail")
    return os.statvfs_result([*(fields.get(name, 0) for name in order), 0, 0])


def test_what_is_set_goes_before_what_there_is() -> None:
    settings = AgentSettings(vcpus=3.5, memory=GIB, reserved_vcpus=1, reserved_memory=GIB)
    assert host(settings).capacity() == Capacity(3.5, GIB)


def test_what_is_reserved_is_taken_off() -> None:
    everything = host(AgentSettings(reserved_memory=0)).capacity()
    less = host(AgentSettings(reserved_vcpus=0.5, reserved_memory=1024)).capacity()
    assert less == Capacity(everything.vcpus - 0.5, everything.memory - 1024)


def test_more_reserved_than_there_is_leaves_nothing() -> None:
    assert host(AgentSettings(reserved_vcpus=10**6, reserved_memory=10**18)).capacity() == Capacity(0, 0)


def test_agents_that_share_a_machine_together_take_no_more_than_it_has() -> None:
    settings = AgentSettings(reserved_memory=0)
    whole = LocalHost("here", settings, Path("/")).capacity()
    half = LocalHost("here", settings, Path("/"), sharers=2).capacity()
    assert (2 * half.vcpus, 2 * half.memory) == (whole.vcpus, whole.memory - whole.memory % 2)


async def test_a_host_with_room_is_healthy() -> None:
    assert await host().health() == ""


async def test_a_low_disk_is_told_with_path_free_and_needed() -> None:
    settings = AgentSettings(disk_reserve=2 * GIB)
    problem = await host(settings, f_bavail=GIB // 4096).health()
    assert problem == "disk low: /data/logs has 1024 MiB free, 2048 MiB are needed (disk_reserve)"


async def test_few_inodes_are_told() -> None:
    problem = await host(f_files=10_000, f_favail=99).health()
    assert problem == "inodes low: /data/logs has 99 free, 100 are needed"


async def test_a_file_system_that_counts_no_inodes_has_enough() -> None:
    assert await host(f_files=0, f_favail=0).health() == ""


async def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = LocalHost("here", AgentSettings(), tmp_path / "gone")
    assert await gone.health() == f"cannot look at {tmp_path}/gone: No such file or directory"


async def test_nobody_takes_this_machine_away() -> None:
    assert await host().notice() is None


def group(root: Path, proc: str, **files: str) -> tuple[Path, Path]:
    """A made up /proc/self/cgroup and control group file system; `__` in a name is a directory, `_` a dot."""
    for name, content in files.items():
        path = root / "fs" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "cgroup").write_text(proc)
    return root / "cgroup", root / "fs"


def test_version_2_tells_its_limits(tmp_path: Path) -> None:
    files = {"a__b__cpu.max": "150000 100000\n", "a__b__memory.max": f"{GIB}\n"}
    place = group(tmp_path, "0::/a/b\n", **files)
    assert (cpu_limit(*place), memory_limit(*place)) == (1.5, GIB)


def test_a_group_above_may_be_the_tighter_one(tmp_path: Path) -> None:
    files = {"a__b__memory.max": f"{2 * GIB}\n", "a__memory.max": f"{GIB}\n", "a__b__cpu.max": "max 100000"}
    place = group(tmp_path, "0::/a/b\n", **files)
    assert (cpu_limit(*place), memory_limit(*place)) == (None, GIB)


def test_no_limit_is_none(tmp_path: Path) -> None:
    place = group(tmp_path, "0::/\n", **{"cpu.max": "max 100000\n", "memory.max": "max\n"})
    assert (cpu_limit(*place), memory_limit(*place)) == (None, None)


def test_version_1_tells_its_limits(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct__a__cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct__a__cpu.cfs_period_us": "100000\n",
        "memory__a__memory.limit_in_bytes": f"{GIB}\n",
    }
    place = group(tmp_path, "4:memory:/a\n2:cpu,cpuacct:/a\n1:cpuset:/\n", **files)
    assert (cpu_limit(*place), memory_limit(*place)) == (0.5, GIB)


def test_version_1_without_a_quota_has_none(tmp_path: Path) -> None:
    files = {"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"}
    assert cpu_limit(*group(tmp_path, "2:cpu:/\n", **files)) is None


def test_a_path_only_the_outer_host_sees_gives_the_limits_at_the_root(tmp_path: Path) -> None:
    place = group(tmp_path, "4:memory:/docker/abc\n", **{"memory__memory.limit_in_bytes": f"{GIB}\n"})
    assert memory_limit(*place) == GIB


@pytest.mark.parametrize("proc", ["", "nonsense\n"])
def test_where_there_are_no_control_groups_there_are_no_limits(tmp_path: Path, proc: str) -> None:
    place = group(tmp_path, proc)
    assert (cpu_limit(*place), memory_limit(*place)) == (None, None)
