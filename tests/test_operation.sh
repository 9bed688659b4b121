#!/bin/bash
# What an operator looks at: metrics, logs, the audit log, names of requests, and an end in time. Speaks TAP.
set -u
nabla=${NABLA:-build/nabla}
folder=$(mktemp -d)
data=$folder/data
trap '[[ -z $server ]] || kill "$server" 2>/dev/null; wait; rm -rf "$folder"' EXIT
number=0

case_is() { # name, expected, got
    number=$((number + 1))
    if [[ $3 == "$2" ]]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '# expected %q\n# got %q\n' "$2" "$3"
    fi
}

ask() { # path, curl's options
    local path=$1
    shift
    curl -s --max-time 20 -D "$folder/head" -o "$folder/answer" --oauth2-bearer "$token" "$@" "$url$path"
}

header() {
    sed -n "s/^$1: \(.*\)\r/\1/ip" "$folder/head"
}

value() { # of a series, by its beginning
    ask /metrics
    awk -v series="$1" 'index($0, series " ") == 1 { print $NF }' "$folder/answer"
}

echo 1..20
token=$("$nabla" token create operator --scope write --data "$data")
reader=$("$nabla" token create reader --data "$data")
mkfifo "$folder/said"
"$nabla" serve --listen 127.0.0.1:0 --port-file "$folder/port" --data "$data" --auth --log-format json --log-level debug \
    >"$folder/said" 2>"$folder/log" &
server=$!
read -r _ <"$folder/said"
url=http://127.0.0.1:$(<"$folder/port")

trace=0af7651916cd43dd8448eb211c80319c
ask /v1/jobs -H "traceparent: 00-$trace-b7ad6b7169203331-01" -H 'X-Request-Id: try-1' --json '{
    "dataset": {"generator": "moons", "rows": 200, "seed": 1}, "model": {"layers": [{"units": 4}]}, "training": {"epochs": 3}}'
job=$(jq -r .id "$folder/answer")
case_is "a request keeps its name" try-1 "$(header X-Request-Id)"
ask /v1/none
case_is "one without gets one" 16 "$(header X-Request-Id | tr -d '\n' | wc -c)"
ask /v1/none -H 'X-Request-Id: no"name'
case_is "as one with an unsound one" 16 "$(header X-Request-Id | tr -d '\n' | wc -c)"
NABLA_TOKEN=$token "$nabla" wait "$job" --url "$url" >"$folder/job"
case_is "the job succeeds" succeeded "$(jq -r .state "$folder/job")"
ask "/v1/jobs/$job" -X DELETE -H 'Authorization: Bearer wrong'
curl -s -o /dev/null -X DELETE --oauth2-bearer "$reader" "$url/v1/jobs/$job"
case_is "the worker's log has the trace" 1 "$(grep -c "$trace" "$data/jobs/$job/log")"
case_is "its requests do, too" true "$(jq -s "any(.[]; (.message | test(\"POST /v1/jobs/$job/state\")) and .trace_id == \"$trace\")" "$folder/log")"
case_is "every line of the log is an object with time, level and message" true \
    "$(jq -s 'all(.[]; has("time") and has("level") and has("message"))' "$folder/log")"
case_is "the log names request and token" operator "$(jq -r 'select(.request_id == "try-1") | .token' "$folder/log")"

case_is "the audit log has who did what" "operator POST /v1/jobs 202 try-1" \
    "$(jq -r 'select(.status == 202) | [.token, .method, .route, .status, .request_id] | join(" ")' "$data/audit.jsonl")"
case_is "and who was not allowed to" "reader DELETE /v1/jobs/{id} 403" \
    "$(jq -r 'select(.status == 403) | [.token, .method, .route, .status] | join(" ")' "$data/audit.jsonl")"
case_is "but neither reads nor strangers nor workers" 2 "$(wc -l <"$data/audit.jsonl")"

ask /metrics
case_is "metrics have Prometheus' media type" "text/plain; version=0.0.4; charset=utf-8" "$(header Content-Type)"
tests/metrics.py <"$folder/answer" >"$folder/checked" 2>&1
case_is "and keep its rules" 0 $?
if [[ -n $(command -v promtool) ]]; then
    promtool check metrics <"$folder/answer" >"$folder/checked" 2>&1
    case_is "and promtool's" 0 $?
else
    number=$((number + 1))
    echo "ok $number # SKIP promtool is not here"
fi
case_is "requests are counted by route" 1 "$(value 'nabla_http_requests_total{method="POST",route="/v1/jobs",code="202"}')"
case_is "and so are jobs" 1 "$(value 'nabla_jobs{state="succeeded"}')"
case_is "and steps: 160 rows by 32, three times" 15 "$(value nabla_training_steps_total)"
case_is "and workers" "1 0" "$(value nabla_worker_starts_total) $(value nabla_worker_losses_total)"

# A job that would take long, a stream and a waiting request do not hold up the end.
ask /v1/jobs --json '{"dataset": {"generator": "moons", "rows": 1000, "seed": 1}, "model": {"layers": [{"units": 64}]},
    "training": {"epochs": 1000000}}'
job=$(jq -r .id "$folder/answer")
curl -sN --oauth2-bearer "$token" "$url/v1/jobs/$job/events" >"$folder/events" &
stream=$!
until grep -q started "$folder/events" 2>/dev/null; do kill -0 $stream || break; done
begun=$SECONDS
kill "$server"
wait "$server"
status=$?
server=
wait $stream
case_is "SIGTERM ends the server with 0" 0 $status
case_is "within 8 s" 1 $((SECONDS - begun <= 8))
