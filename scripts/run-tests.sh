#!/bin/bash
# Runs each test program and check, and ends with the line "N passed, N failed" over all their cases.
#
# cmocka programs speak TAP (the plan "1..5", then "ok 1 - name" or "not ok 2 - name"), and so may scripts. A
# planned case that was never reported has failed: that is how a crash counts. A script without a plan is one
# case, passed when it exits with 0; a cmocka program without a plan has failed.
set -u
export CMOCKA_MESSAGE_OUTPUT=TAP
seconds_per_program=${TEST_TIMEOUT:-600}

log=$(mktemp)
reports=$(mktemp -d)
trap 'rm -rf "$log" "$reports"' EXIT
# A sanitizer's report counts whichever process it is of: servers and their workers write them here too.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}:log_path=$reports/report"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}:log_path=$reports/report"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0:second_deadlock_stack=1}:log_path=$reports/report"
passed=0
failed=0
skipped=0

count() {
    grep -c -E "$1" "$log"
}

sum_plans() {
    sed -n 's/^1\.\.\([0-9][0-9]*\)\r\{0,1\}$/\1/p' "$log" | awk '{ total += $1 } END { print total + 0 }'
}

run_program() {
    local program=$1 status planned ok skip bad started=$SECONDS
    timeout -k 10 "$seconds_per_program" "$program" >"$log" 2>&1 </dev/null
    status=$?
    planned=$(sum_plans)
    # A program's own output may stand before "ok" on its line.
    skip=$(count 'ok [0-9]+ # SKIP')
    ok=$(($(count 'ok [0-9]+ - ') - $(count 'not ok [0-9]+ - ')))
    if [[ $planned -eq 0 ]]; then
        planned=1
        ok=0
        if [[ $status -eq 0 && $program =~ \.(sh|py)$ ]]; then ok=1; fi
    fi
    bad=$((planned - ok - skip))
    if compgen -G "$reports/*" >/dev/null; then
        status="$status, with a sanitizer's report"
        cat "$reports"/* >>"$log"
        rm -f "$reports"/*
    fi
    if [[ $status != 0 && $bad -le 0 ]]; then bad=1; fi # e.g. killed, or a report at exit
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
    if [[ $bad -eq 0 ]]; then
        printf 'ok      %-40s %3d cases, %d s\n' "${program##*/}" "$ok" $((SECONDS - started))
    else
        printf 'FAILED  %-40s %3d of %d cases failed, exit status %s\n' "${program##*/}" "$bad" "$planned" "$status"
        sed 's/^/        /' "$log" | tail -n 200
    fi
}

for program in "$@"; do
    run_program "$program"
done
if [[ $skipped -gt 0 ]]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
