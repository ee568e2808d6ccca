"""Memory and CPU time from control groups, on file trees as both kernels' versions have them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.docker import usage as module
from runner.adapters.docker.address import Address
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import Client
from runner.adapters.docker.ending import Measured
from runner.adapters.docker.hierarchy import Tree
from runner.adapters.docker.spec import Owner
from runner.adapters.docker.usage import Meters, Sampler
from runner.model import Usage

OWNER = Owner("host", Path("/state"))
FIGURES = Measured(Usage(5000, 1.5), oom_kills=2)


class Statistics(Api):
    """An engine that says how much a container uses, more each time."""

    def __init__(self) -> None:
        super().__init__(Client(Address("unix:///nowhere")))
        self.asked = 0

    async def stats(self, _container: str) -> dict[str, Any]:
        self.asked += 1
        used = {1: 700, 2: 900}.get(self.asked, 100)
        return {
            "memory_stats": {"usage": used},
            "cpu_stats": {"cpu_usage": {"total_usage": self.asked * 1_000_000_000}},
        }


def old(root: Path) -> Tree:
    """Version 1: a hierarchy for each controller."""
    for name in ("memory", "cpuacct", "pids"):
        (root / name).mkdir()
    return Tree(root)


def new(root: Path) -> Tree:
    """Version 2: one hierarchy."""
    (root / "cgroup.controllers").write_text("cpu memory pids")
    (root / "system.slice").mkdir()
    (root / "system.slice" / "memory.peak").write_text("1\n")
    return Tree(root)


def without_peaks(root: Path) -> Tree:
    """Version 2 on Linux before 5.19."""
    tree = new(root)
    (root / "system.slice" / "memory.peak").unlink()
    return tree


def fill(tree: Tree, group: str) -> None:
    if tree.unified:
        files = {
            f"{group}/memory.peak": "5000\n",
            f"{group}/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
            f"{group}/memory.events": "low 0\noom 2\noom_kill 2\n",
        }
    else:
        files = {
            f"memory/{group}/memory.max_usage_in_bytes": "5000\n",
            f"memory/{group}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            f"cpuacct/{group}/cpuacct.usage": "1500000000\n",
        }
    for name, content in files.items():
        (tree.root / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / name).write_text(content)


@pytest.fixture(params=[old, new])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    made: Tree = request.param(tmp_path)
    return made


def test_figures_are_read_from_a_group(tree: Tree) -> None:
    fill(tree, "runner/x")
    assert tree.measure("/runner/x") == FIGURES


def test_a_group_that_is_not_there_has_no_figures(tree: Tree) -> None:
    assert tree.measure("/runner/x") is None


def test_figures_a_kernel_does_not_have_are_none(tree: Tree) -> None:
    group = tree.root / "g" if tree.unified else tree.root / "memory" / "g"
    group.mkdir()
    assert tree.measure("g") == Measured(Usage(None, None), 0)


def test_an_attempt_gets_a_group_of_its_own_where_the_engine_uses_plain_groups(tree: Tree) -> None:
    meter = Meters(Statistics(), OWNER, {"CgroupDriver": "cgroupfs"}, tree).meter("task")
    assert meter.parent is not None
    fill(tree, meter.parent.strip("/"))
    assert meter.read() == FIGURES


def test_hosts_have_different_groups(tree: Tree) -> None:
    owners = [OWNER, Owner("other", Path("/state")), Owner("host", Path("/elsewhere"))]
    info = {"CgroupDriver": "cgroupfs"}
    assert len({Meters(Statistics(), owner, info, tree).meter("task").parent for owner in owners}) == 3


def test_with_systemd_the_engine_chooses_the_group(tree: Tree) -> None:
    assert Meters(Statistics(), OWNER, {"CgroupDriver": "systemd"}, tree).meter("task").parent is None


def test_if_the_group_is_not_seen_here_no_more_are_asked_for(tree: Tree) -> None:
    meters = Meters(Statistics(), OWNER, {"CgroupDriver": "cgroupfs"}, tree)
    assert meters.meter("one").read().usage == Usage()
    assert meters.meter("two").parent is None


def test_a_group_is_removed_with_its_attempt(tree: Tree) -> None:
    meters = Meters(Statistics(), OWNER, {"CgroupDriver": "cgroupfs"}, tree)
    meter = meters.meter("task")
    tops = [tree.root] if tree.unified else [path for path in tree.root.iterdir() if path.is_dir()]
    for top in tops:
        (top / str(meter.parent).strip("/")).mkdir(parents=True)
    meter.close()
    assert not [top for top in tops if (top / str(meter.parent).strip("/")).exists()]


async def watch(sampler: Sampler, seconds: float) -> Measured:
    watching = asyncio.create_task(sampler.watch("id"))
    await asyncio.sleep(seconds)
    watching.cancel()
    return sampler.read()


@pytest.mark.parametrize("where", ["system.slice/docker-id.scope", "docker/id"])
async def test_otherwise_the_containers_own_group_is_sampled(
    tree: Tree, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_FILES", 0.01)
    engine = Statistics()
    fill(tree, where)
    assert await watch(Sampler(engine, tree), 0.1) == FIGURES
    assert engine.asked == 0


def test_where_the_kernel_keeps_no_peak_an_attempt_gets_no_group_of_its_own(tmp_path: Path) -> None:
    meters = Meters(Statistics(), OWNER, {"CgroupDriver": "cgroupfs"}, without_peaks(tmp_path))
    assert meters.meter("task").parent is None


def test_where_the_kernel_keeps_no_peak_the_highest_of_the_samples_is_kept(tmp_path: Path) -> None:
    tree = without_peaks(tmp_path)
    group = tree.root / "docker" / "id"
    group.mkdir(parents=True)

    async def scenario() -> Measured:
        sampler = Sampler(Statistics(), tree)
        watching = asyncio.create_task(sampler.watch("id"))
        for used in (700, 900, 100):
            (group / "memory.current").write_text(f"{used}\n")
            await asyncio.sleep(2 * module.SLOWEST_FILES)
        watching.cancel()
        return sampler.read()

    assert virtual_time.run(scenario()).usage.peak_memory == 900


async def test_else_the_engine_is_asked_and_the_highest_memory_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_FILES", 0.01)
    monkeypatch.setattr(module, "FIRST_STATS", 0.01)
    engine = Statistics()
    measured = await watch(Sampler(engine, None), 0.2)
    assert engine.asked > 2
    assert measured.usage == Usage(900, float(engine.asked))


async def test_a_short_task_that_could_not_be_sampled_has_no_figures() -> None:
    assert await watch(Sampler(Statistics(), None), 0.01) == Measured(Usage())
