#!/bin/bash
# Runs each test program, and the servers that it starts, under valgrind's memcheck, as many at a time
# as there are processors. Fails on an error, on a block that is definitely lost, and on a test that fails; ends
# with "N passed, N failed", counted in programs.
#
# valgrind computes 80-bit numbers in 64 bits. SQLite reads decimals in them, and the loss's oracles are more precise
# than double by them. Of the programs in NARROW the own verdict is therefore not asked, only valgrind's.
set -u
NARROW="test_backup test_loss_certify test_loss_golden"
MEMCHECK=(valgrind --quiet --trace-children=yes --fair-sched=yes --leak-check=full --show-leak-kinds=definite
    --errors-for-leak-kinds=definite --error-exitcode=99 --num-callers=30
    --max-stackframe=8000000) # a test's history of 2.4 MB lies on its stack, and is no other stack
export NABLA_TESTS_SHORT=1
seconds_per_program=${TEST_TIMEOUT:-3600}

# Leaves $reports/NAME.failed where something is wrong.
run_program() {
    local program=$1 name=${1##*/} started=$SECONDS status why=
    timeout -k 10 "$seconds_per_program" "${MEMCHECK[@]}" "--log-file=$reports/$name.%p.report" "$program" \
        >"$reports/$name.output" 2>&1 </dev/null
    status=$?
    find "$reports" -name "$name.*.report" -empty -delete
    # What valgrind says of itself begins with "--", what it says of the program with "==".
    if grep -q -s '^==' "$reports/$name".*.report; then
        why="valgrind reports"
    elif [[ $status -eq 124 || $status -eq 137 ]]; then
        why="not done after $seconds_per_program s"
    elif [[ $status -ne 0 && " $NARROW " != *" $name "* ]]; then
        why="exit status $status"
    fi
    if [[ -n $why ]]; then
        touch "$reports/$name.failed"
        printf 'FAILED  %-40s %s\n' "$name" "$why"
        cat /dev/null "$reports/$name".*.report | sed 's/^/        /' | head -n 200
        tail -n 20 "$reports/$name.output" | sed 's/^/        /'
    else
        printf 'ok      %-40s %d s\n' "$name" $((SECONDS - started))
    fi
}

if [[ ${1-} == --one ]]; then
    run_program "$2"
    exit
fi
reports=$(mktemp -d)
export reports
trap 'rm -rf "$reports"' EXIT
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} "$0" --one {}
failed=$(find "$reports" -name '*.failed' | wc -l)
echo "$(($# - failed)) passed, $failed failed"
[[ $failed -eq 0 && $# -gt 0 ]]
