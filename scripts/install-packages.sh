#!/bin/sh
# Installs the packages of the named groups of packages.txt that are missing: no question asked, and no
# network used when all are there. As root, or else by sudo.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 GROUP...   (groups stand in scripts/packages.txt)" >&2
    exit 2
fi

packages_of() {
    sed -n "s/^$1: //p" "$(dirname "$0")/packages.txt"
}

is_installed() {
    dpkg-query -W -f '${db:Status-Abbrev}\n' "$1" 2>/dev/null | grep -q '^ii'
}

is_any_installed() { # a|b
    for alternative in $(echo "$1" | tr '|' ' '); do
        if is_installed "$alternative"; then return 0; fi
    done
    return 1
}

missing=
for group in "$@"; do
    packages=$(packages_of "$group")
    if [ -z "$packages" ]; then
        echo "$0: no group \"$group\" in packages.txt" >&2
        exit 2
    fi
    if ! command -v apt-get >/dev/null; then
        echo "No apt-get here. Needed ($group), by Debian's names:" >&2
        echo "$packages" >&2
        continue
    fi
    for package in $packages; do
        is_any_installed "$package" || missing="$missing ${package%%|*}"
    done
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Missing packages:$missing. Install them as root, or install sudo." >&2
        exit 1
    fi
    as_root=sudo
fi
echo "Installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # one word each, on purpose
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
