"""What a job asks for that Amazon EMR cannot give. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from controller.adapters.emr.names import Name
from controller.adapters.emr.requests import words
from runner.emr_settings import EmrSettings
from runner.model import Attempt, Job, TaskId
from runner.validation import Problem

# All texts of a step together, as AddJobFlowSteps' reference has it.
LONGEST_STEP = 10_240

# What may stand in its requests.
_TEXT = re.compile("[ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff\r\n\t]*")


def problems(job: Job, _settings: EmrSettings) -> Iterator[Problem]:
    """Each with the key it is about."""
    assert job.emr is not None
    known = job.id or "x" * 36
    attempt = Attempt(TaskId(known, next(iter(job.array))), 999_999, 999_999, "", job.limits.memory)
    name = Name("x" * 32, known, 999_999, 999_999)
    for at, step in enumerate(job.emr.steps_for(job.command, job.name)):
        loc = ("emr", "steps", at) if job.emr.steps else ("command",)
        texts = (*words(job, attempt, step), step.jar, name.step(at + 1, step.name))
        size = sum(map(len, texts))
        if size > LONGEST_STEP:
            yield (
                loc,
                f"{size:,} characters with the job's variables; Amazon EMR takes {LONGEST_STEP:,} in a step",
            )
        if not _all_taken(texts):
            yield loc, "Amazon EMR takes no control characters, neither here nor in env"
    for at, script in enumerate(job.emr.bootstrap):
        if not _all_taken((script.path, *script.args)):
            yield ("emr", "bootstrap", at), "Amazon EMR takes no control characters"


def _all_taken(texts: Iterable[str]) -> bool:
    return all(_TEXT.fullmatch(text) for text in texts)
