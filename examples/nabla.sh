# shellcheck shell=bash
# What the examples share; it needs bash, curl and jq. The server is expected at $NABLA_URL.
set -euo pipefail
url=${NABLA_URL:-http://127.0.0.1:8080}

fail() {
    echo "$*" >&2
    exit 1
}

command -v jq >/dev/null || fail "This example needs jq (apt install jq)."
curl -sf -o /dev/null "$url/healthz" || fail "No Nabla at $url: start one with 'make run', or set NABLA_URL."

# call METHOD PATH [curl's options…]: prints the answer's body; ends the script with the problem on an error.
call() {
    local method=$1 path=$2 answer status
    shift 2
    answer=$(curl -sS -X "$method" -w '\n%{http_code}' "$@" "$url$path")
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    [[ $status -lt 400 ]] || fail "$method $path: $answer"
    printf '%s' "$answer"
}

# post PATH JSON
post() {
    call POST "$1" --json "$2"
}

# upload FILE NAME: prints the data set's id. The same file again is the same data set.
upload() {
    call POST "/v1/datasets?name=$2" -H 'Content-Type: text/csv' --data-binary "@$1" | jq -r .id
}

# wait_for JOB: prints the finished job. Each request returns when the job has changed, or after 30 s; a server that is
# being restarted is asked again for half a minute.
wait_for() {
    local job=$1 etag='"0"' lost=0 answer status
    while true; do
        answer=$(curl -sS -D - -H 'Prefer: wait=30' -H "If-None-Match: $etag" "$url/v1/jobs/$job" | tr -d '\r') || answer='- 503 '
        status=${answer#* }
        case ${status%% *} in
        200 | 304) lost=0 ;;
        429 | 503) ((++lost < 30)) || fail "No answer from $url." && sleep 1 && continue ;;
        *) fail "GET /v1/jobs/$job: $(sed '1,/^$/d' <<<"$answer")" ;;
        esac
        etag=$(sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' <<<"$answer" | head -n 1)
        answer=$(sed '1,/^$/d' <<<"$answer")
        [[ -n $answer ]] || continue # 304: nothing has changed
        case $(jq -r .state <<<"$answer") in
        succeeded) printf '%s' "$answer" && return ;;
        failed | cancelled) fail "The job has $(jq -r '"\(.state): \(.error.detail // "")"' <<<"$answer")" ;;
        esac
        jq -r '"  \(.state)  step \(.progress.step)/\(.progress.steps)"' <<<"$answer" >&2
    done
}

# train JSON: posts a job and waits for it; prints the finished job.
train() {
    local job
    job=$(post /v1/jobs "$1" | jq -r .id)
    echo "Training $job …" >&2
    wait_for "$job"
}

# gradient_norms JOB STEP: one line a layer, "name norm".
gradient_norms() {
    call GET "/v1/jobs/$1/gradients?column=gradient_norm&since_step=$2&until_step=$2" |
        jq -r '.layers[] | "\(.name) \(.columns.gradient_norm[0])"'
}
