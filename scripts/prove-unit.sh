#!/bin/bash
# Proves the systemd unit under a systemd that runs as process 1: a minimal Debian 12 in a container, what `make
# install` brings, a user, and then a session with systemctl and curl: asked, trained, reloaded, killed, stopped.
# usage: prove-unit.sh      as root; takes the working tree
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
machine=$work/debian

step() {
    printf '\n== %s\n' "$*"
}

# The session is a unit of its own; when it ends, so does the machine, with its exit status.
write_session() {
    cat >"$machine/etc/systemd/system/session.service" <<'UNIT'
[Unit]
After=nabla.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/bash -euo pipefail /opt/session
StandardOutput=file:/opt/session.log
StandardError=inherit
TimeoutStartSec=300
[Install]
WantedBy=multi-user.target
UNIT
    cat >"$machine/opt/session" <<'SESSION'
url=http://127.0.0.1:8080
trap 'echo "not ok: line $LINENO"; journalctl --unit nabla --no-pager --lines 30' ERR
ask() {
    curl -s --fail-with-body --max-time 10 --retry 50 --retry-delay 1 --retry-connrefused "$@"
}
say() {
    printf 'ok: %s\n' "$*"
}
of_unit() {
    systemctl show --property "$1" --value nabla
}
journal() {
    journalctl --unit nabla --output cat --no-pager
}
submit() { # units of the layer, epochs
    ask "$url/v1/jobs" --json '{"dataset": {"generator": "moons", "rows": 2000},
        "model": {"layers": [{"units": '"$1"', "activation": "relu"}]}, "training": {"epochs": '"$2"'}}' | jq -r .id
}
await_step() { # job, attempt: until it runs and the job has a step
    until ask "$url/v1/jobs/$1" | jq -e ".attempt == $2 and .state == \"running\" and .progress.step > 0" >/dev/null; do
        sleep 0.2
    done
}

ask "$url/v1/losses" --json '{"logits": [1, 2, 0.1, -1], "labels": 1}' | grep -q '"loss": *0\.44931'
say "a loss is answered"

nabla wait "$(submit 16 5)" --url "$url" | jq -e '.state == "succeeded"' >/dev/null
say "a job is trained"

job=$(submit 64 1000000)
await_step "$job" 1
server=$(of_unit MainPID)
worker=$(grep -v -x "$server" "/sys/fs/cgroup$(of_unit ControlGroup)/cgroup.procs")
grep -q '^NoNewPrivs:.1$' "/proc/$worker/status"
grep -q '^CapBnd:.0*$' "/proc/$worker/status"
[[ $(sed -n 's/^Seccomp_filters:.//p' "/proc/$worker/status") -gt $(sed -n 's/^Seccomp_filters:.//p' "/proc/$server/status") ]]
[[ $(journal | grep -c -E 'lacks|unconfined') -eq 0 ]]
say "its worker is confined further than the unit is, by all that the kernel has"

systemctl reload nabla
[[ $(of_unit MainPID) -eq $server ]]
until journal | grep -q 'info: SIGHUP'; do sleep 0.1; done
say "systemctl reload reaches it"

kill -KILL "$server"
until [[ $(of_unit NRestarts) -eq 1 ]]; do sleep 0.1; done
await_step "$job" 2
say "killed, it is started again, and the job goes on at step $(ask "$url/v1/jobs/$job" | jq .progress.step)"

before=$(date +%s%N)
systemctl stop nabla
took=$((($(date +%s%N) - before) / 1000000))
[[ $(of_unit Result) == success && $took -lt 8000 ]]
say "systemctl stop, while it trains: $took ms"

systemctl start nabla
await_step "$job" 3
ask -X POST "$url/v1/jobs/$job/cancel" >/dev/null
say "started again, the job goes on"

[[ $(stat -c '%U %a' /var/lib/nabla) == "nabla 700" ]]
say "its folder is its own"

systemd-analyze verify --man=no nabla.service
say "systemd-analyze verify has nothing to say"
systemd-analyze security --no-pager --threshold=15 nabla.service | tail -n 2
SESSION
}

prepare() {
    local packages
    scripts/install-packages.sh build prove
    step "a minimal Debian 12 with systemd, and make install"
    packages=$(sed -n -E 's/^run: //p' scripts/packages.txt | sed -E 's/\|[^ ]*//g')
    # shellcheck disable=SC2086 # a list
    scripts/debian-base.sh "$machine" systemd systemd-sysv curl jq $packages
    make -s all
    make -s install DESTDIR="$machine" PREFIX=/usr/local
    chroot "$machine" useradd --system --home-dir /var/lib/nabla --shell /usr/sbin/nologin nabla
    write_session
    chroot "$machine" systemctl --quiet enable nabla.service session.service
}

# A network of its own keeps port 8080 free; workers use Landlock, which the container's own filter does not know.
boot() {
    local status=0
    step "systemd as process 1"
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        --boot --directory="$machine" </dev/null >"$work/console" 2>&1 || status=$?
    cat "$machine/opt/session.log" || cat "$work/console"
    return "$status"
}

prepare
boot
step "the unit: all well"
