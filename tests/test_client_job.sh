#!/bin/bash
# The example of a training loop elsewhere reports to a live server, to the end of its job.
set -eu
folder=$(mktemp -d)
coproc server { exec "${NABLA:-build/nabla}" serve --listen 127.0.0.1:0 --data "$folder"; }
pid=$!
trap 'kill "$pid"; wait "$pid"; rm -rf "$folder"' EXIT
read -r line <&"${server[0]}"
url=$(grep -o 'http://127.0.0.1:[0-9]*' <<<"$line")

said=$(NABLA_URL=$url /usr/bin/python3 examples/client_job.py)
echo "$said"
[[ $said == *" succeeded loss 0.3"* ]]
steps=$(curl -sf "$url/v1/jobs/${said%% *}/gradients?column=gradient_norm&format=csv" | grep -c ',0,logistic,[0-9]')
[[ $steps -eq 50 ]]

said=$(NABLA_URL=$url /usr/bin/python3 examples/batch_tensors.py)
echo "$said"
[[ $said == *" revision 2 {'gradient_norm': [0.0131"* ]]

# Waiting for a job that there is, and for one that there is not.
said=$(NABLA_URL=$url examples/07-wait-for-a-job.sh "${said%% *}")
[[ $said == *'"state": "succeeded"'* ]]
if said=$(NABLA_URL=$url timeout 20 examples/07-wait-for-a-job.sh job_none 2>&1); then exit 1; fi
[[ $said == *"there is no job job_none"* ]]
