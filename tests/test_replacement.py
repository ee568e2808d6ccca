"""Which machines are given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from controller.model import EnvironmentCapacity, Instance
from controller.replacement import Judgement, Memory, Patience, judge
from runner.records import HostReport

PATIENCE = Patience(boot=600.0, silence=300.0)


def report(host: str, seen_at: float = 1.0, tasks: int = 0, state: str = "running") -> HostReport:
    return HostReport(host, "1", state, 2, 8, 2, 8, tasks, ("docker",), ("q",), 1, 0.0, seen_at)


def environments(*instances: Instance | str, name: str = "spot") -> Mapping[str, EnvironmentCapacity]:
    found = [Instance(each, in_service=True) if isinstance(each, str) else each for each in instances]
    count = len(found)
    return {name: EnvironmentCapacity(name, count, count, 0, 0, 100, found)}


class Looks:
    """Looks again and again, and remembers."""

    def __init__(self) -> None:
        self.memory = Memory()

    def at(
        self, now: float, seen: Mapping[str, EnvironmentCapacity], hosts: Sequence[HostReport] = ()
    ) -> Judgement:
        judgement = judge(seen, hosts, self.memory, now, PATIENCE)
        self.memory = judgement.memory
        return judgement

    def lost_at(
        self, now: float, seen: Mapping[str, EnvironmentCapacity], hosts: Sequence[HostReport] = ()
    ) -> list[str]:
        return [each.instance for each in self.at(now, seen, hosts).replace]


def test_a_machine_whose_agent_never_reports_is_replaced_on_the_second_look_past_the_boot() -> None:
    looks, seen = Looks(), environments("i-1")
    found = [looks.lost_at(now, seen) for now in (0, 599, 601, 650, 662)]
    assert found == [[], [], [], [], ["i-1"]]


def test_a_machine_that_reports_stays() -> None:
    looks, seen = Looks(), environments("i-1")
    assert not any(looks.lost_at(now, seen, [report("i-1", now)]) for now in range(0, 9000, 50))


def test_a_machine_whose_agent_falls_silent_is_replaced() -> None:
    looks, seen = Looks(), environments("i-1")
    found = [looks.lost_at(now, seen, [report("i-1", 5.0)]) for now in (0, 299, 301, 400)]
    assert found == [[], [], [], ["i-1"]]


def test_one_that_is_heard_of_again_before_the_second_look_stays() -> None:
    looks, seen = Looks(), environments("i-1")
    for now in (0, 301):
        looks.at(now, seen, [report("i-1", 5.0)])
    assert looks.lost_at(400, seen, [report("i-1", 6.0)]) == []
    assert looks.lost_at(690, seen, [report("i-1", 6.0)]) == []


def test_a_host_whose_clock_is_wrong_is_not_silent() -> None:
    looks, seen = Looks(), environments("i-1")
    assert not any(looks.lost_at(now, seen, [report("i-1", now - 100_000)]) for now in range(0, 3000, 50))


def unfit(host: str, now: float, tasks: int = 0) -> HostReport:
    return report(host, now, tasks, "unhealthy")


def test_a_machine_that_stays_unfit_for_work_is_replaced() -> None:
    looks, seen = Looks(), environments("i-1")
    found = {now: looks.at(now, seen, [unfit("i-1", now)]).replace for now in range(0, 601, 10)}
    (first, replaced) = next((now, replace) for now, replace in found.items() if replace)
    assert (first, replaced[0].instance) == (370, "i-1")
    assert replaced[0].reason == "its agent reports that it can take no tasks, 6m10s by now"


def test_one_that_is_unfit_and_still_has_tasks_stays() -> None:
    looks, seen = Looks(), environments("i-1")
    assert not any(looks.lost_at(now, seen, [unfit("i-1", now, tasks=1)]) for now in range(0, 9000, 50))


def test_one_whose_tasks_nobody_can_see_to_their_end_is_replaced_twice_as_late() -> None:
    looks, seen = Looks(), environments("i-1")
    found = {
        now: looks.lost_at(now, seen, [replace(unfit("i-1", now, tasks=1), engines=())])
        for now in range(0, 901, 10)
    }
    assert next(now for now, lost in found.items() if lost) == 670


def test_one_whose_engine_answers_again_stays() -> None:
    looks, seen = Looks(), environments("i-1")
    for now in range(0, 650, 10):
        assert not looks.lost_at(now, seen, [replace(unfit("i-1", now, tasks=1), engines=())])
    assert looks.lost_at(670, seen, [report("i-1", 670, tasks=1)]) == []


def test_one_that_is_fit_again_before_the_second_look_stays() -> None:
    looks, seen = Looks(), environments("i-1")
    for now in range(0, 350, 10):
        looks.at(now, seen, [unfit("i-1", now)])
    assert looks.lost_at(370, seen, [report("i-1", 370)]) == []
    assert looks.lost_at(400, seen, [unfit("i-1", 400)]) == []


def test_new_machines_that_are_unfit_too_make_the_next_wait_longer() -> None:
    looks = Looks()
    vain_replacements(looks, 1500)
    looks.at(1510, environments("i-9"), [unfit("i-9", 1510)])
    assert looks.memory.setbacks["spot"].count == 2


def test_a_new_controller_begins_to_count_anew() -> None:
    seen = environments("i-1")
    Looks().at(0, seen)
    assert Looks().lost_at(5000, seen) == []


def test_machines_that_launch_or_leave_are_let_be() -> None:
    looks = Looks()
    seen = environments(Instance("i-1", in_service=False), Instance("i-2", in_service=True, leaving=True))
    assert not any(looks.lost_at(now, seen) for now in (0, 1000, 2000, 3000))


def test_not_more_than_a_fifth_at_a_time() -> None:
    looks, seen = Looks(), environments(*(f"i-{number:02}" for number in range(20)))
    looks.at(0, seen)
    looks.at(700, seen)
    assert len(looks.lost_at(800, seen)) == 4


def vain_replacements(looks: Looks, until: int) -> list[int]:
    """When machines were replaced, of which each comes up no better than the one before."""
    times: list[int] = []
    for now in range(0, until, 10):
        if looks.lost_at(now, environments(f"i-{len(times)}")):
            times.append(now)
    return times


def test_when_the_new_ones_fail_too_the_next_wait_ever_longer() -> None:
    times = vain_replacements(Looks(), 20_000)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:2] == [680, 680]  # a boot and the looks; the pause of five and of ten minutes is shorter
    assert pauses[2] == 1200
    assert set(pauses[3:]) == {1800}


def test_people_are_told_when_the_new_ones_fail_too() -> None:
    looks = Looks()
    vain_replacements(looks, 1500)
    remarks = looks.at(1500, environments("i-2")).remarks
    assert remarks["spot"].startswith("machines do not come up, fall silent or are unfit (replaced 2 times")


def test_once_all_report_again_the_past_is_forgotten() -> None:
    looks = Looks()
    vain_replacements(looks, 1500)
    looks.at(1510, environments("i-9"), [report("i-9")])
    assert looks.memory.setbacks == {}


def test_a_machine_that_only_boots_proves_nothing() -> None:
    looks = Looks()
    vain_replacements(looks, 1500)
    looks.at(1510, environments("i-9"))
    assert looks.memory.setbacks["spot"].count == 2


def test_what_is_gone_is_not_remembered() -> None:
    looks = Looks()
    looks.at(0, environments("i-1"))
    looks.at(10, environments())
    assert looks.memory.sights == {}
