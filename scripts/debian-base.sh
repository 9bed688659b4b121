#!/bin/bash
# Makes a minimal Debian 12 in a folder, from the mirror and with the apt settings of this machine.
# usage: debian-base.sh FOLDER [PACKAGE...]      as root
set -euo pipefail

root=$1
shift
suite=bookworm

sources() {
    # shellcheck disable=SC2016 # apt-get expands them
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" 'index($2, suite) == 1 { print "deb", $1, $2, $3 }' | sort -u
}

# Proxies, trust in dates and the like; what this machine fetches besides packages is no matter of the new one.
apt_settings() {
    apt-config dump | grep -E '^Acquire::(http|https|Check-|Allow|Retries|Force)' || true
}

mirror=$(sources | awk -v suite="$suite" '$3 == suite { print $2; exit }')
proxy=$(apt-config dump | sed -n 's/^Acquire::http::Proxy "\(.*\)";/\1/p')
if [[ -n $proxy ]]; then export http_proxy=$proxy; fi

debootstrap --variant=minbase ${1:+--include="$(IFS=, && echo "$*")"} "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

sources >"$root/etc/apt/sources.list"
apt_settings >"$root/etc/apt/apt.conf.d/90from-host"
cp -a /etc/apt/auth.conf.d/. "$root/etc/apt/auth.conf.d/"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
if grep -q '^deb https' "$root/etc/apt/sources.list"; then # the certificates that this machine trusts
    mkdir -p "$root/etc/ssl"
    cp -aL /etc/ssl/certs "$root/etc/ssl/"
fi
