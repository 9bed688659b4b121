#!/bin/bash
# Proves the README's two commands on a machine that has never seen the project: a minimal Debian 12 in a chroot
# with nothing added but git and make. `make run` and the README's session in short, `make test`, then `make run`
# once more, without any network.
# usage: prove-fresh-machine.sh      as root; takes what is committed at HEAD
set -euo pipefail
cd "$(dirname "$0")/.."

# The script runs itself twice more: in a mount namespace, so that no mount outlives it, and there, at the end,
# in a network namespace that holds nothing but its own loopback.
part=${1:-all}
work=${2:-}

step() {
    printf '\n== %s\n' "$*"
}

inside() {
    chroot "$work/debian" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        sh -c 'cd /root/nabla && exec "$@"' sh "$@"
}

prepare() {
    step "a minimal Debian 12 with git and make"
    scripts/debian-base.sh "$work/debian" git make
    mount -t proc proc "$work/debian/proc"
    mount -t devpts devpts "$work/debian/dev/pts"
    git clone -q --no-hardlinks . "$work/debian/root/nabla"
    git -C "$work/debian/root/nabla" log -1 --format='%h %s'
}

make_test() {
    step "make test"
    inside make test 2>&1 | tee "$work/log"
    tail -n 1 "$work/log" | grep -q -E '^[1-9][0-9]* passed, 0 failed$'
}

served_url() { # process: waits for the line of its output that names it
    while kill -0 "$1" 2>/dev/null; do
        if sed -n 's/^Nabla listens on \(http[^ ]*\) .*/\1/p' "$work/log" | grep .; then return; fi
        sleep 1
    done
    cat "$work/log" >&2
    return 1
}

# The README's session in short, with nothing but what stands on that machine.
session() { # url
    local job
    inside curl -sS --max-time 10 --json '{"logits": [1, 2, 0.1, -1], "labels": 1}' "$1/v1/losses" | tee "$work/answer"
    grep -q '"loss": *0\.44931' "$work/answer"
    job=$(inside curl -sS --max-time 10 "$1/v1/jobs" --json '{"dataset": {"generator": "moons", "rows": 200},
        "model": {"layers": [{"units": 8, "activation": "relu"}]}, "training": {"epochs": 3}}' | inside jq -r .id)
    inside build/nabla wait "$job" --url "$1" | inside jq -c '{state, result}'
    inside sqlite3 data/nabla.db "select count(*) || ' rows of gradients' from gradients where job = '$job'" |
        tee "$work/answer"
    grep -q '^[1-9]' "$work/answer"
}

# Starts a command inside, has the session with it, and sends SIGINT to its whole process group, as a terminal
# does for Ctrl-C. The command's exit status is left in $status.
serve_and_interrupt() {
    local group url
    set -m # a process group for each background job, with SIGINT as a terminal leaves it
    inside "$@" >"$work/log" 2>&1 &
    group=$!
    set +m
    # shellcheck disable=SC2064 # this group
    trap "kill -INT -- -$group 2>/dev/null" EXIT
    url=$(served_url "$group")
    session "$url"
    trap - EXIT
    kill -INT -- "-$group"
    status=0
    wait "$group" || status=$?
    grep -v -E '^  [A-Z]+ ' "$work/log"
    echo "exit status $status"
}

make_run() { # [VARIABLE=VALUE...]
    serve_and_interrupt env "$@" make run
    # make itself dies of the SIGINT that it gets together with the server: 130.
    [[ $status -eq 0 || $status -eq 130 ]]
    if grep -E 'Error [0-9]+' "$work/log"; then return 1; fi
}

# Here the network is the machine's own: a free port.
first_run() {
    step "make run on a machine that has nothing, a session, Ctrl-C"
    make_run NABLA_LISTEN=127.0.0.1:0
}

offline() {
    ip link set lo up
    step "make run without a network"
    make_run
    step "build/nabla serve without a network"
    serve_and_interrupt build/nabla serve
    [[ $status -eq 0 ]]
}

prove() {
    prepare
    first_run
    make_test
    unshare --net "$0" offline "$work"
    step "a fresh machine: all well"
}

remove() {
    umount "$work/debian/proc" "$work/debian/dev/pts" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}

case $part in
all)
    scripts/install-packages.sh prove
    exec unshare --mount --propagation private "$0" prove "$(mktemp -d)"
    ;;
prove)
    trap remove EXIT
    (prove)
    ;;
offline) offline ;;
esac
