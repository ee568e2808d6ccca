"""N tasks `true` on a local HyperQueue cluster of two cores: from submit to the start of the last task.

The client looks only once a second whether all have ended, so the end is taken from the files that
HyperQueue makes for each task's output when it starts it: a little to HyperQueue's favour.
"""

import os
import sys
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count = int(sys.argv[1])
with LocalCluster(server_dir=str(Path.cwd() / "server"), worker_config=WorkerConfig(cores=2)) as cluster:
    client = cluster.client()
    first = Job()
    first.program(["true"], stdout=None, stderr=None)
    client.wait_for_jobs([client.submit(first)])
    job = Job(default_workdir=Path.cwd())
    for _ in range(count):
        job.program(["true"])
    begun = time.time()
    client.wait_for_jobs([client.submit(job)])
    last = max(entry.stat().st_mtime for entry in os.scandir(".") if entry.name.endswith(".stdout"))
print(last - begun)
