#!/bin/bash
# A disk that fills up: reads go on, writes get 507, nothing that was acknowledged is lost, and all goes on once there
# is room again. The disk is a small tmpfs in a mount namespace of this script's own. Speaks TAP.
set -u
nabla=${NABLA:-build/nabla}
CASES=17
if [[ ${1:-} != inside ]]; then
    if ! unshare --map-root-user --mount true 2>/dev/null; then
        echo "1..1"
        echo "ok 1 # SKIP namespaces are not allowed here"
        exit 0
    fi
    exec unshare --map-root-user --mount "$0" inside
fi

folder=$(mktemp -d)
trap '[[ -z ${server:-} ]] || kill "$server" 2>/dev/null; wait; umount "$folder" 2>/dev/null; rmdir "$folder"' EXIT
mount -t tmpfs -o size=24M tmpfs "$folder" || exit 1
data=$folder/data
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

ask() { # path, curl's options: the status, the answer in $answer
    local path=$1 said
    shift
    said=$(curl -s --max-time 20 -w '\n%{http_code}' "$@" "$url$path")
    answer=${said%$'\n'*}
    status=${said##*$'\n'}
}

report() { # the steps from $1 to $2 of the client's job
    ask "/v1/jobs/$client/metrics" -H "Authorization: Bearer $token" --json "$(jq -nc --argjson from "$1" --argjson to "$2" \
        '[range($from; $to + 1)] as $steps | {attempt: 1, metrics: {steps: $steps, columns: {loss: $steps}}}')"
}

fill() {
    dd if=/dev/zero of="$folder/fill" bs=64k 2>/dev/null
    dd if=/dev/zero of="$folder/fill2" bs=1 count=70000 2>/dev/null
}

echo "1..$CASES"
mkfifo "$folder/said"
"$nabla" serve --listen 127.0.0.1:0 --data "$data" >"$folder/said" 2>/dev/null &
server=$!
read -r line <"$folder/said"
url=$(grep -o 'http://127.0.0.1:[0-9]*' <<<"$line")

ask /v1/datasets -H 'Content-Type: text/csv' --data-binary @examples/data/digits.csv
dataset=$(jq -r .id <<<"$answer")
ask /v1/jobs --json '{"executor": "client", "name": "elsewhere"}'
client=$(jq -r .id <<<"$answer")
token=$(jq -r .token <<<"$answer")
report 1 100
case_is "a report is taken" 200 "$status"
# A job of ours, which runs into the full disk.
ask /v1/jobs --json "{\"dataset\": \"$dataset\", \"model\": {\"layers\": [{\"units\": 64}]}, \"training\": {\"epochs\": 60, \"seed\": 1}}"
local_job=$(jq -r .id <<<"$answer")
until ask "/v1/jobs/$local_job" && [[ $(jq -r .progress.step <<<"$answer") -gt 0 ]]; do :; done
fill

# The log of the database may still have room for a little: report until it has none.
last=100
until report $((last + 1)) $((last + 500)) && [[ $status != 200 ]]; do last=$((last + 500)); done
case_is "a report to a full disk" 507 "$status"
case_is "says so, and no more" "the disk that holds Nabla's data is full" "$(jq -r .detail <<<"$answer")"
ask /v1/datasets -H 'Content-Type: text/csv' --data-binary @examples/data/digits.csv -H 'Idempotency-Key: x'
case_is "a data set that is there already, with a new key" 507 "$status"
ask '/v1/datasets?name=more' -H 'Content-Type: text/csv' --data-binary @<(head -n 900 examples/data/digits.csv)
case_is "a data set" 507 "$status"
ask /v1/jobs --json '{"dataset": {"generator": "moons", "rows": 5000, "seed": 3}, "model": {"layers": [{"units": 4}]}}'
case_is "a job" 507 "$status"
for ((i = 0; i < 60; i++)); do # each is a line of the audit log, which soon has room for a part of one
    ask /v1/jobs --json '{"executor": "client"}'
done
ask "/v1/jobs/$client"
case_is "a job is read" 200 "$status"
ask "/v1/jobs/$client/metrics?column=loss&format=csv&limit=100000"
case_is "with all that was acknowledged" "$last" "$(grep -c '^[0-9]' <<<"$answer")"
ask "/v1/datasets/$dataset/data" -o /dev/null
case_is "a data set is read" 200 "$status"
ask /v1/losses --json '{"logits": [1, 2], "labels": 1}'
case_is "a loss is computed" 200 "$status"
ask /readyz
case_is "the server is ready" 200 "$status"

rm "$folder/fill" "$folder/fill2"
until report $((last + 1)) $((last + 500)) && [[ $status == 200 ]]; do :; done
case_is "with room again reports are taken" 200 "$status"
"$nabla" wait "$local_job" --url "$url" >"$folder/job"
case_is "our job goes on to its end" succeeded "$(jq -r .state "$folder/job")"
ask "/v1/jobs/$local_job/metrics?column=loss&format=csv&limit=100000"
case_is "with every step of its history" "$(jq .result.steps "$folder/job")" "$(grep -c '^[1-9]' <<<"$answer")"
ask /v1/jobs --json '{"executor": "client"}'
case_is "no line of the audit log is a part of one" "true 202" "$(jq -rs 'all(.[]; has("status")) and (.[-1].status | . == 202) | tostring' "$data/audit.jsonl") $status"
kill "$server"
wait "$server"
case_is "the server ends in order" 0 $?
server=
case_is "the database is whole" ok "$(sqlite3 "$data/nabla.db" 'pragma integrity_check')"
