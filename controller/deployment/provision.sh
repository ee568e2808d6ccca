#!/bin/bash
# Makes a stock Debian 12+, Ubuntu 22.04+ or Amazon Linux 2023 into a machine of a fleet. The same script is the user
# data of the launch templates, and what Packer runs to make an image that starts faster; what is there already is left.
#
#   RUNNER_PART         agent, controller, or image (everything of both, and nothing started)
#   RUNNER_BUNDLE       where wheel, constraints and settings are: s3://BUCKET/PREFIX, or a directory
#   RUNNER_REGION       of the fleet
#   RUNNER_ENVIRONMENT  the compute environment, of an agent
#   RUNNER_PULL         container images to fetch, separated by spaces
#   RUNNER_STOP         seconds that an agent may take to stop
set -euo pipefail

part=${RUNNER_PART:?agent, controller or image}
venv=/opt/runner

say() { echo "runner: $*"; }

retry() { # a machine that boots has a network soon, and mirrors fail for moments
    local pause=2
    until "$@"; do
        [ "$pause" -le 128 ] || { say "gave up: $*"; return 1; }
        say "again in $pause s: $*"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

put() { # put MODE PATH: a file from standard input, whole or not at all
    mkdir -p "$(dirname "$2")"
    cat >"$2.new"
    chmod "$1" "$2.new"
    mv "$2.new" "$2"
}

booted() { [ -d /run/systemd/system ]; }

needs_docker() { [ "$part" != controller ]; }

python() { # the newest that is there and new enough
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

install_with_apt() {
    export DEBIAN_FRONTEND=noninteractive
    local wanted=()
    [ -e /etc/ssl/certs/ca-certificates.crt ] || wanted+=(ca-certificates)
    command -v ip >/dev/null || wanted+=(iproute2)
    python >/dev/null || {
        if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            wanted+=(python3-venv)
        else
            wanted+=(python3.11 python3.11-venv) # Ubuntu 22.04
        fi
    }
    if needs_docker; then
        command -v dockerd >/dev/null || wanted+=(docker.io iptables)
        command -v docker-credential-ecr-login >/dev/null || wanted+=(amazon-ecr-credential-helper)
    fi
    [ "${#wanted[@]}" -gt 0 ] || return 0
    retry apt-get update -qq
    retry apt-get install -y -qq --no-install-recommends "${wanted[@]}"
}

install_with_dnf() {
    local wanted=()
    command -v ip >/dev/null || wanted+=(iproute)
    python >/dev/null || wanted+=(python3.11)
    if needs_docker; then
        command -v dockerd >/dev/null || wanted+=(docker)
        command -v docker-credential-ecr-login >/dev/null || wanted+=(amazon-ecr-credential-helper)
    fi
    [ "${#wanted[@]}" -eq 0 ] || retry dnf install -y -q "${wanted[@]}"
}

install_packages() {
    if command -v apt-get >/dev/null; then install_with_apt; else install_with_dnf; fi
}

fetch_bundle() {
    local from=${RUNNER_BUNDLE:?s3://BUCKET/PREFIX or a directory}
    if [ -d "$from" ]; then
        cp "$from"/* "$1"
        return
    fi
    # boto3, and not a command of AWS's, which stock images of Debian and Ubuntu lack.
    "$venv/bin/python" - "$from" "$RUNNER_REGION" "$1" <<'PYTHON'
import sys, boto3

place, region, folder = sys.argv[1:]
bucket, prefix = place.removeprefix("s3://").split("/", 1)
client = boto3.client("s3", region_name=region)
for name in client.get_object(Bucket=bucket, Key=f"{prefix}/files")["Body"].read().decode().split():
    client.download_file(bucket, f"{prefix}/{name}", f"{folder}/{name}")
PYTHON
}

install_program() {
    local bundle pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    [ -x "$venv/bin/python" ] || "$(python)" -m venv "$venv"
    "$venv/bin/python" -c 'import boto3' 2>/dev/null || retry "${pip[@]}" boto3
    bundle=$(mktemp -d)
    retry fetch_bundle "$bundle"
    # With the versions that were there at deploy, so that a machine of next month is one of today; unless one of them
    # is not to be had for this Python.
    "${pip[@]}" --force-reinstall --no-deps "$bundle"/*.whl
    "${pip[@]}" --constraint "$bundle/constraints.txt" "$bundle"/*.whl || {
        say "not with the versions that were deployed with"
        retry "${pip[@]}" "$bundle"/*.whl
    }
    [ ! -e "$bundle/runner.yaml" ] || put 644 /etc/runner/runner.yaml <"$bundle/runner.yaml"
    rm -rf "$bundle"
}

configure_docker() {
    # Containers go on when the engine is restarted. The agent takes output as it comes, so little of it is kept twice.
    put 644 /etc/docker/daemon.json <<'JSON'
{
  "live-restore": true,
  "log-driver": "json-file",
  "log-opts": {"max-size": "10m", "max-file": "2"},
  "userland-proxy": false
}
JSON
    put 600 /var/lib/runner/.docker/config.json <<'JSON'
{"credsStore": "ecr-login"}
JSON
}

configure_journal() {
    put 644 /etc/systemd/journald.conf.d/runner.conf <<'CONF'
[Journal]
Storage=persistent
SystemMaxUse=200M
MaxRetentionSec=14day
CONF
}

write_environment() {
    put 600 /etc/runner/environment <<ENVIRONMENT
AWS_DEFAULT_REGION=${RUNNER_REGION:-}
RUNNER_ENVIRONMENT=${RUNNER_ENVIRONMENT:-}
RUNNER_PULL="${RUNNER_PULL:-}"
ENVIRONMENT
}

write_agent_units() {
    # The console is all that can be seen of a machine with no way in. systemd itself lets pauses grow only from 254 on.
    put 755 /usr/local/sbin/runner-agent-ended <<'SCRIPT'
#!/bin/sh
since() { find /run/runner-agent.pause -mmin "-$1" 2>/dev/null | grep -q .; }
if [ "$1" = starting ]; then
    since 1 && sleep "$(cat /run/runner-agent.pause)"
elif [ "$SERVICE_RESULT" != success ]; then
    pause=10
    since 15 && pause=$(($(cat /run/runner-agent.pause) * 2))
    [ "$pause" -le 160 ] || pause=160 # systemd would not wait for twice that
    echo "$pause" >/run/runner-agent.pause
    {
        echo "runner: the agent failed ($SERVICE_RESULT, $EXIT_CODE $EXIT_STATUS); it said last:"
        journalctl --unit=runner-agent --lines=20 --output=cat --no-pager | cut -c 1-1000
    } >/dev/console
fi
exit 0
SCRIPT
    put 644 /etc/systemd/system/runner-agent.service <<UNIT
[Unit]
Description=Runs tasks from the fleet's queues
Wants=network-online.target docker.service
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
# The agent says that it lives every second. What stops the containers of one that is frozen or dead is a watchdog of its
# own, and quicker; it must outlive the agent, and ends when there is nothing left to do.
WatchdogSec=180
TimeoutStartSec=300
TimeoutStopSec=${RUNNER_STOP:-180}
EnvironmentFile=/etc/runner/environment
# HOME: where Docker and its helpers look for credentials of registries.
Environment=RUNNER_HOME=/var/lib/runner RUNNER_ENGINE=docker HOME=/var/lib/runner DOCKER_HOST=unix:///var/run/docker.sock
StateDirectory=runner
# Where tasks are served the credentials of their job's role.
ExecStartPre=-ip address replace 169.254.170.2/32 dev lo
ExecStartPre=-/usr/local/sbin/runner-agent-ended starting
ExecStart=/opt/runner/bin/runner-agent --config /etc/runner/runner.yaml
ExecStopPost=-/usr/local/sbin/runner-agent-ended ended
# 0: it gave the machine back. 2: the settings are wrong, which no restart mends.
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=10
KillMode=process
OOMScoreAdjust=-500
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
UNIT
    put 644 /etc/systemd/system/runner-pull.service <<'UNIT'
[Unit]
Description=Fetches container images ahead of the tasks that need them
Wants=network-online.target
After=network-online.target docker.service
Requires=docker.service

[Service]
Type=oneshot
EnvironmentFile=/etc/runner/environment
Environment=HOME=/var/lib/runner
ExecStart=/bin/bash -c 'for image in $RUNNER_PULL; do docker pull --quiet "$image" || true; done'

[Install]
WantedBy=multi-user.target
UNIT
}

write_controller_units() {
    put 644 /etc/systemd/system/runner-controller.service <<'UNIT'
[Unit]
Description=Supervises the fleet
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=runner
EnvironmentFile=/etc/runner/environment
Environment=RUNNER_HOME=/var/lib/runner-controller
StateDirectory=runner-controller
ExecStart=/opt/runner/bin/runner-controller --config /etc/runner/runner.yaml serve
Restart=always
RestartSec=10
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
UNIT
    put 644 /etc/systemd/system/runner-health.service <<'UNIT'
[Unit]
Description=Reports how the supervisor is, and has the machine replaced if it stays ill
After=runner-controller.service

[Service]
Type=oneshot
User=runner
EnvironmentFile=/etc/runner/environment
Environment=RUNNER_HOME=/var/lib/runner-controller
StateDirectory=runner-health
TimeoutStartSec=50
ExecStart=/opt/runner/bin/python -m controller.cli.health --config /etc/runner/runner.yaml
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
CapabilityBoundingSet=
UNIT
    put 644 /etc/systemd/system/runner-health.timer <<'UNIT'
[Unit]
Description=Looks after the supervisor every minute

[Timer]
OnBootSec=2min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
UNIT
}

add_user() {
    id runner >/dev/null 2>&1 || useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin runner
}

start() {
    if ! booted; then
        systemctl enable --quiet "$@" 2>/dev/null || true
        return
    fi
    systemctl daemon-reload
    systemctl enable --quiet "$@"
    systemctl restart --no-block "$@"
}

main() {
    say "provisioning: $part"
    install_packages
    install_program
    configure_journal
    write_environment
    if needs_docker; then
        configure_docker
        write_agent_units
    fi
    if [ "$part" != agent ]; then
        add_user
        write_controller_units
        chown runner /etc/runner/environment
    fi
    case $part in
        agent) start docker.service runner-pull.service runner-agent.service ;;
        controller) start runner-controller.service runner-health.timer ;;
    esac
    say "provisioned: $part"
}

main
