#!/bin/sh
# One task per month: drop the flights that never arrived, keep six columns, one file per destination.
# transform.sh MONTHS_DIRECTORY OUTPUT_DIRECTORY; the month is this task's index, 1 to 12.
set -eu

month=$(printf '%02d' "$AWS_BATCH_JOB_ARRAY_INDEX")

# Columns: 3 day, 6 departure delay, 9 arrival delay, 10 carrier, 14 destination, 16 distance, 17 hour. NA: not known.
awk -F, -v out="$2/$month" '
    NR == 1 { next }
    $6 == "NA" || $9 == "NA" { dropped++; next }
    { print $3 "," $6 "," $9 "," $10 "," $16 "," $17 > (out "-" $14 ".csv"); kept++ }
    END { print kept " flights kept, " dropped " cancelled or diverted" }
' "$1/$month.csv"
