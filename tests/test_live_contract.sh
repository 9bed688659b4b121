#!/bin/bash
# Everything that the live tests exchange with a server must be what the contract says.
set -eu
build=${BUILD:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for test in test_live test_live_jobs; do
    CMOCKA_MESSAGE_OUTPUT=STDOUT NABLA_EXCHANGE_LOG=$log "$build/tests/$test" >/dev/null
done
/usr/bin/python3 tests/contract.py api/openapi.yaml "$log" --all-operations
