#!/bin/sh
# A year of flights as four jobs, each started by the end of the one before: run.sh DATA RESULTS [IMAGE]
# Without an image, the tasks run as processes of this machine.
set -eu

code=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
results=$(cd "$2" && pwd)
image=${3:-}

mkdir -p "$results/months" "$results/clean" "$results/models"
tail -n +2 "$data/flights.csv" | cut -d , -f 14 | sort -u >"$results/destinations.txt"

# Mounted at their own paths, so that a command is the same in a container and without one.
submit() {
    runner-controller submit ${image:+--image "$image"} --memory 256MiB --timeout 5m --retries 1 \
        --mount "$code:$code" --mount "$data:$data" --mount "$results:$results:rw" "$@"
}

# One task: a file per month.
split=$(submit --name split --output quiet -- \
    sh "$code/split.sh" "$data/flights.csv" "$results/months")

# Twelve tasks, one per month: drop what is not known, a file per destination.
transform=$(submit --name transform --after "$split" --array 1-12 --output quiet -- \
    sh "$code/transform.sh" "$results/months" "$results/clean")

# One task per line: a model of each destination's delays, and how good it is.
model=$(submit --name model --after "$transform" --each-line "$results/destinations.txt" --output quiet -- \
    python3 "$code/model.py" "$results/clean" "$results/models")

# One task, and this command waits for it: all scores in one table.
submit --name report --after "$model" --wait -- \
    python3 "$code/report.py" "$results/models" "$data" "$results/summary.tsv"
