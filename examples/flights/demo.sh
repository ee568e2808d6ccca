#!/bin/sh
# `make demo`: fetches the flights, finds out where tasks can run, runs the jobs of run.sh, shows what came of them.
# Everything stays within .demo; your own ~/.runner is not touched.
set -eu

cd "$(dirname "$0")/../.."
demo=$(pwd)/.demo
mkdir -p "$demo/data"

# The command as the demo uses it, to paste as well: with a home of its own, whatever directory it is called from.
cat >"$demo/runner-controller" <<'WRAPPER'
#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd)
export RUNNER_HOME="$root/.demo/home" PATH="$root/.venv/bin:$PATH"
unset RUNNER_CONFIG
exec "$root/.venv/bin/runner-controller" "$@"
WRAPPER
chmod +x "$demo/runner-controller"
export PATH="$demo:$(pwd)/.venv/bin:$PATH"

trap 'echo "To go on with this run: .demo/runner-controller watch last. For a new one: make demo."; exit 130' INT

# What an interrupted demo left would go on beside this one, and containers may have left files of another user.
runner-controller cancel all --yes
rm -rf "$demo/results"
mkdir "$demo/results"
python examples/flights/fetch.py "$demo/data"

if image=$(python examples/flights/image.py); then
    echo "running four jobs, each task in a container of $image"
else
    [ $? -eq 3 ] && [ -z "${RUNNER_REQUIRE_DOCKER:-}" ] || exit 1
    echo "running four jobs, each task as a process of this machine; for containers install Docker (Debian, Ubuntu:" \
        "apt-get install docker.io; macOS: Docker Desktop) and run make demo again"
fi
examples/flights/run.sh "$demo/data" "$demo/results" ${image:+"$image"}

echo
runner-controller jobs --limit 4
echo
echo "How well a flight's arrival delay is foretold, by destination (R² on days held out): best and worst"
awk -F '\t' '
    NR > 1 { line[NR] = sprintf("  %-4s %6d flights   R² %s   off by %4.1f min   %s", $1, $2, $3, $4, $5) }
    END { for (n = 2; n <= NR; n++) if (n < 5 || n > NR - 3) print line[n] }
' "$demo/results/summary.tsv"
echo "All $(($(wc -l <"$demo/results/summary.tsv") - 1)) of them: .demo/results/summary.tsv"
cat <<'NEXT'

Try next:
  .demo/runner-controller tasks model --filter succeeded   # every shard, with the score it reported
  .demo/runner-controller logs model/4                     # what one of them printed
  .demo/runner-controller reproduce model/4                # the same shard again, alone, in the foreground
NEXT
