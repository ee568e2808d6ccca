#!/bin/bash
# Runs provision.sh for real in a fresh Debian root file system, as root: twice, and looks at what it left. Needs
# debootstrap, systemd-analyze and a network; takes a few minutes. systemd does not run in there: units are checked, not
# started.
#
#   ami/try.sh [SUITE]        bookworm, if not given
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
root=$work/root
mounted=()

clean_up() {
    local at
    for at in "${mounted[@]}"; do umount "$at"; done
    rm -rf "$work"
}
trap clean_up EXIT

in_root() {
    chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin RUNNER_BUNDLE=/bundle \
        RUNNER_REGION=us-east-1 RUNNER_ENVIRONMENT=spot RUNNER_PULL="a b" ${PIP_FIND_LINKS:+PIP_FIND_LINKS=$PIP_FIND_LINKS} "$@"
}

bind() { # a place of this machine's, seen in there
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    mounted=("$root$1" "${mounted[@]}")
}

make_root() {
    debootstrap --variant=minbase --include=ca-certificates,python3,systemd "${1:-bookworm}" "$root" >"$work/debootstrap.log"
    # A package's services cannot be started in there.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$root/etc/"
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    bind /proc
    bind /dev
    [ -z "${TRY_BIND:-}" ] || for place in $TRY_BIND; do bind "$place"; done
}

make_bundle() {
    mkdir -p "$root/bundle"
    .venv/bin/python - "$root/bundle" deploy/sample/runner.yaml <<'PYTHON'
import sys
from pathlib import Path

from controller.deployment.bundle import bundle

for name, content in bundle(Path(sys.argv[2]).read_bytes()).items():
    Path(sys.argv[1], name).write_bytes(content)
PYTHON
    cp ami/provision.sh "$root/provision.sh"
}

expect() { # expect WHAT COMMAND...
    local what=$1
    shift
    if "$@" >/dev/null; then echo "ok: $what"; else echo "NOT SO: $what" && exit 1; fi
}

make_root "${1:-bookworm}"
make_bundle
for part in agent controller image; do
    echo "--- $part"
    in_root RUNNER_PART=$part bash /provision.sh
done
echo "--- again"
started=$SECONDS
in_root RUNNER_PART=image bash /provision.sh
echo "what is there already took $((SECONDS - started)) s"

units=(runner-agent.service runner-pull.service runner-controller.service runner-health.service runner-health.timer)
expect "every unit is there" ls "${units[@]/#/$root/etc/systemd/system/}"
# Those of other packages that ours wait for are there too, so what it says is about ours.
told=$(systemd-analyze verify --root="$root" "${units[@]/#/$root/etc/systemd/system/}" 2>&1 | grep runner- || true)
expect "systemd finds nothing wrong with them: $told" test -z "$told"
expect "the agent starts from its environment" in_root /opt/runner/bin/runner-agent --version
expect "the controller reads the settings" in_root /opt/runner/bin/runner-controller --config /etc/runner/runner.yaml --help
expect "what looks after it starts" in_root /opt/runner/bin/python -m controller.cli.health --help
expect "there is a Docker engine" in_root dockerd --version
expect "it takes its settings" in_root python3 -m json.tool /etc/docker/daemon.json
expect "the helper for registries is there" in_root which docker-credential-ecr-login
expect "the controller's user cannot log in" in_root grep -q "^runner:.*nologin$" /etc/passwd
expect "nobody else reads the environment" test "$(stat -c %a "$root/etc/runner/environment")" = 600
