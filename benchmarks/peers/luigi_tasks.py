"""N tasks `true` in one Luigi process with the local scheduler, in builds of M: `plain` or `usual`.

`plain` is as quick as Luigi gets: one worker, which runs its tasks within itself; nothing is kept on disk.
`usual` is what its documentation shows: external programs with a file each that says they are complete, on
two workers.
"""

import logging
import subprocess
import sys
import time
from pathlib import Path

import luigi
from luigi.contrib.external_program import ExternalProgramTask


class Plain(luigi.Task):
    number = luigi.IntParameter()
    done = False

    def run(self) -> None:
        subprocess.run(["true"], check=True)
        self.done = True

    def complete(self) -> bool:
        return self.done


class Usual(ExternalProgramTask):
    number = luigi.IntParameter()

    def program_args(self) -> list[str]:
        return ["true"]

    def run(self) -> None:
        super().run()
        with self.output().open("w"):
            pass

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(Path.cwd() / "done" / str(self.number))


count, size, way = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.disable(logging.CRITICAL)
kind, workers = (Plain, 1) if way == "plain" else (Usual, 2)
begun = time.perf_counter()
for start in range(0, count, size):
    tasks = [kind(number=number) for number in range(start, start + size)]
    if not luigi.build(tasks, workers=workers, local_scheduler=True, log_level="CRITICAL"):
        sys.exit("not all of them succeeded")
print(time.perf_counter() - begun)
