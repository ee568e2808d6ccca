"""Plays many seeds, holds each to the promises, and tells how to play again those that break one.

python -m controller.simulation.campaign --seeds 200 --first 0 --jobs 2
python -m controller.simulation.campaign --replay 17 [--without 3,4] [--shrink]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controller.simulation.installation import Installation
from controller.simulation.nemesis import printed
from controller.simulation.promises.rule import JobEnd
from controller.simulation.trial import Result, Trial, run, trial_of

PROGRAM = f"{sys.executable} -m controller.simulation.campaign"
# Lines of a failing seed's log that are shown.
TAIL = 30
# Seeds between two lines that tell how far it is.
PROGRESS = 500
# Seeds that a process plays before the next takes its place, and between two collections of garbage.
PER_PROCESS, PER_COLLECTION = 500, 10


@dataclass(frozen=True, slots=True)
class Summary:
    """One seed, in short. `cpu` in seconds; `recovery`: virtual seconds from the last fault to the last job's end and
    to the last machine's. `problem`: what was wrong, empty: nothing."""

    seed: int
    cpu: float
    events: int
    recovery: tuple[float, float]
    problem: str = ""
    promises: tuple[int, ...] = ()
    log: str = ""


def play_seed(seed: int, made_of: type[Installation] = Installation) -> Summary:
    began = time.process_time()
    trial = trial_of(seed)
    try:
        result = run(trial, made_of)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        return Summary(seed, time.process_time() - began, 0, (0.0, 0.0), problem)
    if seed % PER_COLLECTION == 0:
        gc.collect()
    return _summary(trial, result, time.process_time() - began)


def _summary(trial: Trial, result: Result, cpu: float) -> Summary:
    recovery = result.done_at - result.quiet_at, result.end.at - result.done_at
    problem = "\n".join(map(str, result.violations))
    promises = tuple(sorted({each.promise for each in result.violations}))
    log = "\n".join(told(trial, result)) if problem else ""
    return Summary(trial.seed, cpu, len(result.events), recovery, problem, promises, log)


def told(trial: Trial, result: Result) -> Iterator[str]:
    """The plan, all that happened, and what was wrong with it."""
    yield from printed(trial.plan)
    yield from map(str, result.events)
    yield from map(_job_told, result.end.jobs.values())
    yield f"quiet from {result.quiet_at:.1f}; jobs done {result.done_at:.1f}; machines gone {result.end.at:.1f}"
    yield from map(str, result.violations)


def _job_told(job: JobEnd) -> str:
    record, counts = job.record, job.record.counts
    statuses = dict(Counter(str(task.status) for task in job.tasks.values()))
    return f"job {record.job.id} is {record.status} in round {record.round}, {counts}; of its tasks are {statuses}"


def played(seeds: Sequence[int], jobs: int, made_of: type[Installation]) -> Iterator[Summary]:
    """As they come."""
    play = partial(play_seed, made_of=made_of)
    if jobs <= 1:
        yield from map(play, seeds)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=PER_PROCESS) as pool:
        yield from pool.imap_unordered(play, seeds)


def campaign(
    seeds: Sequence[int],
    jobs: int,
    folder: Path,
    made_of: type[Installation] = Installation,
    *,
    progress: int = PROGRESS,
) -> int:
    """`folder`: for the event logs of those that fail. `progress`: seeds between two lines that tell how far it is.
    Returns how many failed."""
    failed, cpu, longest = 0, 0.0, [0.0, 0.0]
    promises: Counter[int] = Counter()
    began = time.monotonic()
    for done, summary in enumerate(played(seeds, jobs, made_of), start=1):
        cpu += summary.cpu
        longest = [max(pair) for pair in zip(longest, summary.recovery, strict=True)]
        if summary.problem:
            failed += 1
            promises.update(summary.promises)
            _report(summary, folder)
        if done % progress == 0 and done < len(seeds):
            _say(f"{done} of {len(seeds)} seeds, {failed} failed, {time.monotonic() - began:.0f} s")
    per_seed = cpu / max(1, len(seeds))
    _say(
        f"{len(seeds)} seeds from {seeds[0]}, {failed} failed; {per_seed:.2f} s of CPU each, "
        f"{time.monotonic() - began:.0f} s in all; after the last fault jobs took {longest[0]:.0f} s at most, "
        f"then machines {longest[1]:.0f} s"
    )
    for promise, count in sorted(promises.items()):
        _say(f"  promise {promise}: {count} seeds")
    return failed


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _report(summary: Summary, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"seed-{summary.seed}.log"
    file.write_text(f"{summary.log or summary.problem}\n")
    _say(f"seed {summary.seed} failed; again: {PROGRAM} --replay {summary.seed}")
    for line in summary.log.splitlines()[-TAIL:] or [summary.problem]:
        _say(f"    {line}")
    _say(f"  all of it: {file}")


def replay(trial: Trial, folder: Path) -> int:
    result = run(trial)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"seed-{trial.seed}.log"
    lines = list(told(trial, result))
    file.write_text("\n".join(lines) + "\n")
    _say("\n".join([*printed(trial.plan), "...", *lines[-TAIL:]]))
    _say(f"all of it: {file}")
    return len(result.violations)


def shrunk(trial: Trial, made_of: type[Installation] = Installation) -> frozenset[int]:
    """Which acts of the plan may be left out, and one of the same promises is still broken."""
    wanted = broken(run(trial, made_of))
    left_out: frozenset[int] = frozenset()
    for number in range(len(trial.plan)):
        tried = left_out | {number}
        if wanted & broken(run(trial.without(tried), made_of)):
            left_out = tried
    return left_out


def broken(result: Result) -> set[int]:
    return {each.promise for each in result.violations}


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(",") if part)


def positive_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m controller.simulation.campaign",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seeds", type=positive_number, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument(
        "--jobs", type=positive_number, default=os.cpu_count() or 1, help="processes at a time"
    )
    parser.add_argument("--replay", type=int, metavar="SEED", help="play this one alone")
    parser.add_argument(
        "--without",
        type=_numbers,
        default=frozenset(),
        metavar="N,…",
        help="with --replay: acts to leave out, by number",
    )
    parser.add_argument("--shrink", action="store_true", help="with --replay: find acts that may be left out")
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path(tempfile.gettempdir()) / "campaign",
        help="a folder for event logs (%(default)s)",
    )
    given = parser.parse_args(arguments)
    if given.replay is None:
        return min(1, campaign(range(given.first, given.first + given.seeds), given.jobs, given.logs))
    trial = trial_of(given.replay)
    left_out = given.without or (shrunk(trial) if given.shrink else frozenset())
    if left_out:
        _say(f"without {','.join(map(str, sorted(left_out)))}")
    return min(1, replay(trial.without(left_out), given.logs))


if __name__ == "__main__":
    sys.exit(main())
