#!/bin/bash
# Proves the README's two commands on a machine that has never seen the project: a minimal Debian 12 in a chroot
# with nothing added but git and make. `make test`, then, without any network, `make run`, a loss by curl, Ctrl-C.
# usage: prove-fresh-machine.sh      as root; takes what is committed at HEAD
set -euo pipefail
cd "$(dirname "$0")/.."

# The script runs itself twice more: in a mount namespace, so that no mount outlives it, and there, for `make
# run`, in a network namespace that holds nothing but its own loopback.
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

ask_loss() {
    curl -sS --retry 60 --retry-delay 1 --retry-connrefused --max-time 10 http://127.0.0.1:8080/v1/losses \
        -H 'Content-Type: application/json' -d '{"logits": [1, 2, 0.1, -1], "labels": 1}'
}

# Starts a command inside, asks it for a loss, and sends SIGINT to its whole process group, as a terminal does
# for Ctrl-C. The command's exit status is left in $status.
ask_and_interrupt() {
    local group answer
    step "$* (without a network), POST /v1/losses, Ctrl-C"
    set -m # a process group for each background job, with SIGINT as a terminal leaves it
    inside "$@" >"$work/log" 2>&1 &
    group=$!
    set +m
    answer=$(ask_loss) || true
    kill -INT -- "-$group"
    status=0
    wait "$group" || status=$?
    cat "$work/log"
    printf '%s\nexit status %d\n' "$answer" "$status"
    grep -q '"loss": *0\.44931' <<<"$answer"
}

make_run() {
    ip link set lo up
    ask_and_interrupt make run
    # make itself dies of the SIGINT that it gets together with the server: 130.
    [[ $status -eq 0 || $status -eq 130 ]]
    if grep -E 'Error [0-9]+' "$work/log"; then return 1; fi
    compgen -G "$work/debian/root/nabla/data/*" >/dev/null
    ask_and_interrupt build/nabla serve
    [[ $status -eq 0 ]]
}

prove() {
    prepare
    make_test
    unshare --net "$0" run "$work"
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
    prove
    ;;
run) make_run ;;
esac
