#!/bin/bash
# Waits for a job and prints its result: examples/06-wait-for-a-job.sh JOB. Nothing is asked twice: each request is
# answered when the job has changed, or after half a minute. Exit status: 0 when it succeeded.
source "$(dirname "$0")/nabla.sh"

wait_for "${1:?which job?}" | jq '{state, result}'
