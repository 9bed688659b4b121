#!/bin/bash
# Real data: 1,797 scans of handwritten digits. Six layers of sigmoids beside six of ReLU with batch
# normalisation, both of 64 units. In the first step already, the gradient of the sigmoids' first layer is
# thousands of times smaller than that of the last: it has vanished on the way.
source "$(dirname "$0")/nabla.sh"

digits=$(upload "$(dirname "$0")/data/digits.csv" digits)

# network NAME LAYER: trains six such layers on the digits, prints the finished job.
network() {
    local layers
    layers=$(jq -cn --argjson layer "$2" '[range(6) | $layer]')
    train "$(jq -cn --arg name "$1" --arg dataset "$digits" --argjson layers "$layers" '{
        name: $name, dataset: $dataset, model: {layers: $layers},
        optimizer: {type: "adam", learning_rate: 0.001},
        training: {epochs: 20, batch_size: 32, validation_split: 0.2, seed: 7, standardize: true}}')"
}

sigmoid=$(network "six sigmoid layers" '{"units": 64, "activation": "sigmoid"}')
relu=$(network "six ReLU layers with batch normalisation" '{"units": 64, "activation": "relu", "batch_norm": true}')

# The dense layers in order: the two networks have them in common.
dense_norms() {
    gradient_norms "$(jq -r .id <<<"$1")" 1 | grep '^dense\|^output'
}

echo
echo "Gradient norm of each layer's weights at the first step:"
echo
printf '  %-10s %14s %20s\n' layer sigmoid 'ReLU + batch norm'
paste -d ' ' <(dense_norms "$sigmoid") <(dense_norms "$relu") |
    awk '{ printf "  %-10s %14.2e %20.2e\n", $1, $2, $4 }'
echo
accuracy() {
    jq -r '.result.validation_accuracy * 100 | . * 100 | round / 100' <<<"$1"
}
printf '  %-10s %12s %% %18s %%\n' validation "$(accuracy "$sigmoid")" "$(accuracy "$relu")"
