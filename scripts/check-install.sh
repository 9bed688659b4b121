#!/bin/bash
# Installs into a scratch folder and links a C program against what stands there, shared and static, by
# pkg-config alone, as a user of libnabla would.
set -euo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MAKELEVEL

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

fail() {
    echo "check-install: $*" >&2
    exit 1
}

install_twice() {
    make -s install PREFIX="$prefix"
    make -s install PREFIX=/usr DESTDIR="$scratch/stage"
    grep -q '^prefix=/usr$' "$scratch/stage/usr/lib/pkgconfig/nabla.pc" || fail "DESTDIR leaked into nabla.pc"
    local file
    for file in bin/nabla lib/libnabla.a lib/libnabla.so lib/libnabla.so.0 lib/pkgconfig/nabla.pc \
        include/nabla/base/error.h include/nabla/math/loss.h share/man/man1/nabla.1; do
        [[ -e $prefix/$file ]] || fail "$file is not installed"
        [[ -e $scratch/stage/usr/$file ]] || fail "$file is not installed under DESTDIR"
    done
}

# Names that a library offers to whoever links it.
exported_names() { # file, nm options
    nm --extern-only --defined-only "${@:2}" "$1" | awk 'NF == 3 { print $3 }' | sort -u
}

check_exports() {
    # The contract: every function that a header declares NABLA_API, and nothing else.
    grep -h -o -E '^NABLA_API [^;(]*\(' lib/*/*.h | sed -E 's/.*[ *]([a-z0-9_]+)\($/\1/' | sort -u >"$scratch/declared"
    exported_names "$prefix/lib/libnabla.a" >"$scratch/static"
    exported_names "$prefix/lib/libnabla.so" --dynamic >"$scratch/shared"
    diff -u "$scratch/declared" "$scratch/static" || fail "libnabla.a exports other names than NABLA_API declares"
    diff -u "$scratch/declared" "$scratch/shared" || fail "libnabla.so exports other names than NABLA_API declares"
    local header
    while read -r header; do
        [[ -e $prefix/include/nabla/${header#lib/} ]] || fail "$header declares NABLA_API but is not installed"
    done < <(grep -l '^NABLA_API' lib/*/*.h)
}

# The example's output, and what it must be.
check_output() { # program, what it is
    local said
    said=$("$1") || fail "the example with $2 fails"
    [[ $said == $'loss 0.4493130\ngradient 0.2347315 -0.3619336 0.0954347 0.0317675' ]] ||
        fail "the example with $2 says: $said"
}

# A C++ program of its own: includes and links without a word about C.
write_cplusplus() {
    cat >"$scratch/use.cc" <<'END'
#include <nabla/base/error.h>
#include <nabla/math/loss_certify.h>

#include <cstring>

int main()
{
    nabla_loss loss = nabla_loss_defaults(NABLA_FOCAL);
    nabla_error err;
    return nabla_fail(&err, NABLA_BUSY, nullptr, "%s", nabla_loss_type_name(loss.type)) != NABLA_BUSY ||
           std::strcmp(err.text, "focal") != 0;
}
END
}

link_and_run() {
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    local flags
    read -r -a flags <<<"$(pkg-config --cflags --libs nabla)"
    gcc -Wall -Wextra -Werror -o "$scratch/shared-user" examples/libnabla/loss.c "${flags[@]}"
    LD_LIBRARY_PATH=$prefix/lib check_output "$scratch/shared-user" "the shared library"
    readelf -d "$scratch/shared-user" | grep -q 'NEEDED.*libnabla\.so\.0' || fail "the soname is not libnabla.so.0"
    g++ -Wall -Wextra -Werror -o "$scratch/cplusplus-user" "$scratch/use.cc" "${flags[@]}" ||
        fail "a C++ program does not link"
    LD_LIBRARY_PATH=$prefix/lib "$scratch/cplusplus-user" || fail "the C++ program is wrong"

    read -r -a flags <<<"$(pkg-config --static --cflags --libs nabla | sed 's/-lnabla/-l:libnabla.a/')"
    gcc -Wall -Wextra -Werror -o "$scratch/static-user" examples/libnabla/loss.c "${flags[@]}"
    check_output "$scratch/static-user" "the static library"
}

install_twice
check_exports
write_cplusplus
link_and_run
echo "check-install: installed, the example linked shared and static, and C++, all right"
