"""A Celery application whose only task is the command `true`, on SQS. CELERY_WAY and CELERY_ENDPOINT set it up; see
`celery_tasks`, which starts its worker.

Each task, once its result is kept if one is, writes the time to the file `done`.
"""

import os
import struct
import subprocess
import time
from urllib.parse import urlsplit

from celery import Celery, signals

TIME = struct.Struct("d")

way, place = os.environ["CELERY_WAY"], urlsplit(os.environ["CELERY_ENDPOINT"]).netloc

app = Celery("benchmark", broker=f"sqs://test:test@{place}")
app.conf.update(
    broker_transport_options={"region": "eu-west-1", "is_secure": False},
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,  # SQS carries none
    task_acks_late=way in ("late", "recorded"),
    task_ignore_result=way != "recorded",
)
if way == "recorded":
    # Without credentials in it: with them the connection is made before the worker forks, and its processes share it.
    app.conf.result_backend = f"dynamodb://{place}/celery"
if way != "usual":
    # By default a worker that has taken all it may looks again a second later, and four for each process is little.
    app.conf.broker_transport_options["polling_interval"] = 0.02
    app.conf.worker_prefetch_multiplier = 64


@app.task(name="command")
def command() -> None:
    subprocess.run(["true"], check=True)


@signals.task_postrun.connect
def tell(**_: object) -> None:
    done = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(done, TIME.pack(time.time()))
    os.close(done)
