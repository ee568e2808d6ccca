"""The words around a task's command where AWS Batch cannot say by itself which task it is.

All children of an array see one environment, and `AWS_BATCH_…` cannot be overridden when a job is submitted. A shell
in the container can: it finds the task's index by its place in the submission, sets the variables, and becomes the
command. It needs `/bin/sh` (POSIX, so also busybox's) in the image, and an image without an entrypoint, or with one
that runs its arguments.

It is told by variables: RUNNER_SHARDS (the submission's indices, as `0-99` or `3,7,10-12`), RUNNER_TRIES (tries
before this submission), RUNNER_ARRAY_SIZE, RUNNER_EMPTY (the job's variables that are empty, which AWS Batch drops, as
`A,B`), and RUNNER_ITEM_0, RUNNER_ITEM_1 … by place. The command sees none of these.
"""

from __future__ import annotations

from collections.abc import Sequence

SHELL = "/bin/sh"

# Names of its own throughout: a variable of the job's might be called anything else, and would be changed.
SCRIPT = """\
runner_place=${AWS_BATCH_JOB_ARRAY_INDEX:-0}
runner_left=$runner_place
IFS=,
for runner_part in $RUNNER_SHARDS; do
  runner_first=${runner_part%%-*}
  runner_count=$((${runner_part##*-} - runner_first + 1))
  [ "$runner_left" -lt "$runner_count" ] && break
  runner_left=$((runner_left - runner_count))
done
for runner_part in $RUNNER_EMPTY; do
  export "$runner_part="
done
unset IFS
RUNNER_TASK_INDEX=$((runner_first + runner_left))
RUNNER_ATTEMPT=$((RUNNER_TRIES + ${AWS_BATCH_JOB_ATTEMPT:-1}))
AWS_BATCH_JOB_ARRAY_INDEX=$RUNNER_TASK_INDEX
AWS_BATCH_JOB_ARRAY_SIZE=$RUNNER_ARRAY_SIZE
AWS_BATCH_JOB_ATTEMPT=$RUNNER_ATTEMPT
export RUNNER_TASK_INDEX RUNNER_ATTEMPT
export AWS_BATCH_JOB_ARRAY_INDEX AWS_BATCH_JOB_ARRAY_SIZE AWS_BATCH_JOB_ATTEMPT
eval "runner_item=\\${RUNNER_ITEM_$runner_place+given}"
[ -z "$runner_item" ] || eval "export RUNNER_ITEM=\\"\\$RUNNER_ITEM_$runner_place\\""
runner_place=0
while eval "[ -n \\"\\${RUNNER_ITEM_$runner_place+given}\\" ]"; do
  unset "RUNNER_ITEM_$runner_place"
  runner_place=$((runner_place + 1))
done
unset RUNNER_SHARDS RUNNER_TRIES RUNNER_ARRAY_SIZE RUNNER_EMPTY
exec "$@"
"""


def wrapped(command: Sequence[str]) -> list[str]:
    return [SHELL, "-c", SCRIPT, "runner", *command]
