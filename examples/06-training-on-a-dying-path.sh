#!/bin/sh
# The founding question, in training: one network whose first answers are sure and wrong, trained through softmax and
# Keras' clip, through the same without the clip, and from logits. Needs curl, jq, and a running server.
set -eu
url=${NABLA_URL:-http://127.0.0.1:8080}

job() {
    cat <<EOF
{"name": "$1 under $2",
 "dataset": {"generator": "blobs", "rows": 600, "classes": 3, "noise": 0.4, "seed": 3},
 "model": {"append_output": false, "layers": [
   {"units": 64, "activation": "relu", "initializer": {"type": "normal", "stddev": 30}},
   {"type": "dense", "units": 3, "initializer": {"type": "normal", "stddev": 30}}]},
 "loss": {"type": "cross_entropy", "input": "$1", "convention": "$2"},
 "optimizer": {"type": "adam", "learning_rate": 0.5},
 "training": {"epochs": 20, "seed": 1}}
EOF
}

for path in "probabilities keras" "probabilities torch" "logits keras"; do
    # shellcheck disable=SC2086 # two words
    id=$(job $path | curl -sf --json @- "$url/v1/jobs" | jq -r .id)
    until curl -sf "$url/v1/jobs/$id" | jq -e '.state == "succeeded"' >/dev/null; do
        curl -sf -H 'Prefer: wait=5' "$url/v1/jobs/$id" >/dev/null
    done
    curl -sf "$url/v1/jobs/$id" | jq -r '"\(.name): accuracy \(.result.accuracy)"'
    curl -sf "$url/v1/jobs/$id/gradients?layer=0&column=gradient_norm,gradient_zero_fraction,update_norm&until_step=3" |
        jq -c '.layers[0].columns'
done
