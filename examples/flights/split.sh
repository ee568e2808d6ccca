#!/bin/sh
# One task: the year's flights, one file per month. split.sh FLIGHTS.csv OUTPUT_DIRECTORY
set -eu

awk -F, -v out="$2" '
    NR == 1 { header = $0; next }
    { file = sprintf("%s/%02d.csv", out, $2) }
    !(file in seen) { seen[file] = 1; print header > file }
    { print > file; flights++ }
    END { print flights " flights in " length(seen) " months" }
' "$1"
