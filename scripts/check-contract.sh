#!/bin/bash
# Holds every exchange that the tests before it had with the service against the contract; each operation that the
# contract documents must have succeeded in one of them.
set -eu
exec tests/contract.py "${BUILD:-build}/openapi.json" "$NABLA_EXCHANGE_LOG" --all-operations
