"""From what a job file says to the nouns."""

from __future__ import annotations

import os
from collections.abc import Iterator

from controller.emr_file import EmrJobFile
from controller.jobfile import JobFile, RetriesSection, RuleSection
from controller.layers import Layers
from runner.array import Array
from runner.documents import resolved
from runner.model import EMR, Job, Limits, Mount, Retry, Rule, Secret, Sidecar
from runner.wording import Loc, printable


def job_from(model: JobFile, array: Array, layers: Layers) -> Job:
    """A job without id and time."""
    return Job(
        id="",
        name=model.name,
        command=tuple(model.command),
        array=array,
        image=model.image,
        env=model.env,
        limits=Limits(model.vcpus, model.memory, model.timeout, model.grace, model.pids),
        retry=_retry(model.retries),
        queue=model.queue,
        after=tuple(model.after),
        max_parallel=model.max_parallel,
        mounts=_mounts(model, layers),
        secrets=_secrets(model, layers),
        sidecars=tuple(
            Sidecar(one.name, one.image, tuple(one.command), one.env, one.memory) for one in model.sidecars
        ),
        role=model.role,
        idempotency_key=model.idempotency_key,
        backend=EMR if isinstance(model, EmrJobFile) else model.backend or "",
        emr=model.emr.emr() if isinstance(model, EmrJobFile) else None,
    )


def _retry(retries: RetriesSection) -> Retry:
    return Retry(
        retries=retries.count,
        infra_retries=retries.infra,
        backoff=retries.backoff,
        backoff_factor=retries.backoff_factor,
        max_backoff=max(retries.backoff, retries.max_backoff),
        max_memory=retries.max_memory,
        rules=tuple(_rule(rule) for rule in retries.rules),
    )


def _rule(rule: RuleSection) -> Rule:
    return Rule(rule.then == "retry", frozenset(rule.on), rule.exit_code, rule.memory)


def _mounts(model: JobFile, layers: Layers) -> tuple[Mount, ...]:
    base = layers.base(("mounts",))
    return tuple(Mount(str(resolved(base, one.source)), one.target, one.writable) for one in model.mounts)


def _secrets(model: JobFile, layers: Layers) -> tuple[Secret, ...]:
    found = []
    for name, secret in model.secrets.items():
        if secret.file is not None:
            path = resolved(layers.base(("secrets", name)), secret.file)
            found.append(Secret(name, "file", str(path)))
        elif secret.arn is not None:
            found.append(Secret(name, "arn", secret.arn))
        else:
            found.append(Secret(name, "env", str(secret.env)))
    return tuple(found)


def absent_files(job: Job) -> Iterator[tuple[Loc, str]]:
    """Secrets whose file is not there."""
    for secret in job.secrets:
        if secret.source == "file" and not os.path.isfile(secret.reference):
            yield ("secrets", secret.name, "file"), f"'{printable(secret.reference)}' is not a file"
