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

write_program() {
    cat >"$scratch/use.c" <<'END'
#include <nabla/math/loss.h>

#include <math.h>
#include <stdio.h>

int main(void)
{
    double logits[4] = {1, 2, 0.1, -1}, gradient[4];
    int64_t label = 1;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {.dtype = NABLA_FLOAT64, .rows = 1, .classes = 4, .scores = logits, .ids = &label};
    struct nabla_loss_result result = {.gradient = gradient};
    struct nabla_error err;
    if (nabla_loss_compute(&loss, &batch, &result, &err) != NABLA_OK) {
        printf("%s: %s\n", nabla_code_name(err.code), err.text);
        return 1;
    }
    printf("loss %.7f, gradient [%.7f, ...]\n", result.loss, gradient[0]);
    return fabs(result.loss - 0.4493130) > 1e-7 || fabs(gradient[0] - 0.2347315) > 1e-7;
}
END
    printf '#include <nabla/base/error.h>\n#include <nabla/math/loss.h>\n' >"$scratch/use.cc"
}

link_and_run() {
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    local flags
    read -r -a flags <<<"$(pkg-config --cflags --libs nabla)"
    gcc -Wall -Wextra -Werror -o "$scratch/shared-user" "$scratch/use.c" "${flags[@]}"
    LD_LIBRARY_PATH=$prefix/lib "$scratch/shared-user" || fail "the program with the shared library is wrong"
    readelf -d "$scratch/shared-user" | grep -q 'NEEDED.*libnabla\.so\.0' || fail "the soname is not libnabla.so.0"

    read -r -a flags <<<"$(pkg-config --static --cflags --libs nabla | sed 's/-lnabla/-l:libnabla.a/')"
    gcc -Wall -Wextra -Werror -o "$scratch/static-user" "$scratch/use.c" "${flags[@]}"
    "$scratch/static-user" || fail "the program with the static library is wrong"

    read -r -a flags <<<"$(pkg-config --cflags nabla)"
    g++ -Wall -Wextra -Werror -fsyntax-only "$scratch/use.cc" "${flags[@]}" || fail "the headers are no C++"
}

install_twice
check_exports
write_program
link_and_run
echo "check-install: installed, linked shared and static, both right"
