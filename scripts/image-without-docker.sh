#!/bin/bash
# Builds the Dockerfile without a Docker engine, runs the result and asks it for a loss: buildah with chroot
# isolation, on a base image made by debootstrap. Everything lies in a scratch folder that goes at the end.
# usage: image-without-docker.sh      as root; takes what is committed at HEAD
set -euo pipefail
cd "$(dirname "$0")/.."

# The script runs itself once more for the running part, in a network namespace that holds nothing but its own
# loopback, so that no port of this machine matters.
part=${1:-all}
work=${2:-}

step() {
    printf '\n== %s\n' "$*"
}

image() {
    buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"
}

config() { # a Go template over the image's configuration
    image inspect --type image --format "$1" nabla
}

make_base() {
    step "base image debian:bookworm-slim, by debootstrap"
    scripts/debian-base.sh "$work/debian"
    rm -rf "$work/debian/var/cache/apt/archives"/*.deb "$work/debian/var/lib/apt/lists"/*
    local container
    container=$(image from scratch)
    image add -q "$container" "$work/debian" / >/dev/null
    image config --cmd bash "$container"
    image commit -q --rm "$container" docker.io/library/debian:bookworm-slim >/dev/null
    rm -rf --one-file-system "$work/debian"
}

build_image() {
    step "build the Dockerfile"
    git archive --prefix=source/ HEAD | tar -x -C "$work"
    # Docker's own format: the other one has no health check.
    image build --isolation chroot --network host --pull=never --format docker -t nabla "$work/source"
    config 'user {{.Docker.Config.User}}, volumes {{.Docker.Config.Volumes}}, {{.Docker.Config.Healthcheck.Test}}'
}

# Runs a command in the image's file system as Docker would: its user and environment, and, for the server, as
# process 1 of a process namespace of its own.
in_container() {
    local variables
    mapfile -t variables < <(config '{{range .Docker.Config.Env}}{{println .}}{{end}}' | grep .)
    exec "${as_process_1[@]}" chroot --userspec="$(config '{{.Docker.Config.User}}')" "$mount" \
        env -i "${variables[@]}" "$@"
}

run_image() {
    local mount command as_process_1=() server token i answer status=0 stopped
    ip link set lo up
    mount=$(image mount "$(image from --pull-never nabla)")
    mapfile -t command < <(config '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | grep .)

    # As `docker run --read-only` does: nothing can be written but the volume.
    mkdir "$work/volume"
    chown 10001:10001 "$work/volume"
    mount --bind "$mount" "$mount"
    mount --bind "$work/volume" "$mount/var/lib/nabla"
    mount -o remount,bind,ro "$mount"

    step "run it, read-only: ${command[*]}"
    (
        as_process_1=(unshare --pid --fork --kill-child "--mount-proc=$mount/proc")
        in_container "${command[@]}"
    ) &
    server=$!
    # shellcheck disable=SC2064 # this server
    trap "kill $server 2>/dev/null || true" EXIT
    for ((i = 0; i < 300; i++)); do
        if curl -s --max-time 1 -o /dev/null http://127.0.0.1:8080/healthz; then break; fi
        sleep 0.1
    done
    token=$(in_container nabla token create proof --scope admin)
    answer=$(curl -sS --oauth2-bearer "$token" --retry 30 --retry-delay 1 --retry-connrefused --max-time 10 \
        http://127.0.0.1:8080/v1/losses -H 'Content-Type: application/json' \
        -d '{"logits": [1, 2, 0.1, -1], "labels": 1}') || true
    echo "$answer"

    step "its health check, then SIGTERM as docker stop sends it"
    mapfile -t command < <(config '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | grep . | tail -n +2)
    (in_container "${command[@]}") || status=$?
    echo "${command[*]}: exit status $status"
    stopped=$SECONDS
    read -r -a children <<<"$(<"/proc/$server/task/$server/children")"
    kill -TERM "${children[0]}"
    wait "$server" || status=$?
    echo "stopped in $((SECONDS - stopped)) s, exit status $status"
    [[ $status -eq 0 && $((SECONDS - stopped)) -le 8 ]] && grep -q '"loss": *0\.44931' <<<"$answer"
}

prove() {
    make_base
    build_image
    unshare --net --mount --propagation private "$0" run "$work"
    step "an image: all well"
}

remove() {
    image umount --all >/dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}

case $part in
all)
    scripts/install-packages.sh prove
    work=$(mktemp -d)
    trap remove EXIT
    prove
    ;;
run) run_image ;;
esac
