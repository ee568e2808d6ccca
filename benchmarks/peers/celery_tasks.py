"""N tasks `true` through Celery on SQS: one worker of M processes; queue and results in an emulator at ENDPOINT.

    celery_tasks.py N M WAY START ENDPOINT

WAY    early     messages are acknowledged before their tasks run, which is Celery's default; no result is kept
       late      acknowledged after them; no result is kept
       recorded  acknowledged after them; each task's result is kept in DynamoDB
       usual     as `early`, with every other setting as Celery has it by default
START  warm      the worker waits: from the first send to the end of the last task
       full      all is sent before the worker starts: from the end of the first task to the end of the last

Prints a JSON object: the seconds, and what the emulator has counted meanwhile.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
DONE = Path("done")
LOG = Path("worker.log")
LONGEST = 600.0
WARMING = 64
# The last acknowledgements are requests of these tasks as well.
SETTLING = 1.0

count, slots, way, beginning, endpoint = int(sys.argv[1]), *sys.argv[2:]
os.environ.update(
    CELERY_WAY=way, CELERY_ENDPOINT=endpoint, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test"
)

from celery_app import TIME, app, command  # noqa: E402  # it is set up as it is imported


def counted() -> dict[str, object]:
    with urllib.request.urlopen(f"{endpoint}/_counts") as reply:
        return json.load(reply)


def send(number: int) -> None:
    for _ in range(number):
        command.delay()


def start() -> subprocess.Popen[bytes]:
    command_line = ["-m", "celery", "-A", "celery_app", "worker", "-P", "prefork", "-c", slots, "-l", "ERROR"]
    lean = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *command_line, *lean],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_for(worker: subprocess.Popen[bytes], number: int) -> None:
    deadline = time.monotonic() + LONGEST
    while not DONE.exists() or DONE.stat().st_size < number * TIME.size:
        if worker.poll() is not None or time.monotonic() > deadline:
            worker.kill()
            sys.exit(f"the worker has ended or hangs: {LOG.read_text()[-2000:]}")
        time.sleep(0.02)


if way == "recorded":
    assert app.backend.client  # which makes the table

if beginning == "warm":
    worker, earlier = start(), WARMING
    send(earlier)
    wait_for(worker, earlier)
    time.sleep(SETTLING)
    before, begun = counted(), time.time()
    send(count)
else:
    before, begun, earlier = counted(), None, 0
    send(count)
    worker = start()
wait_for(worker, earlier + count)
time.sleep(SETTLING)
after = counted()
worker.terminate()
worker.wait()
times = [each for (each,) in TIME.iter_unpack(DONE.read_bytes())][earlier:]
if len(times) != count:
    sys.exit(f"{len(times)} tasks have run, {count} were sent")
print(json.dumps({"seconds": max(times) - (begun or min(times)), "before": before, "after": after}))
