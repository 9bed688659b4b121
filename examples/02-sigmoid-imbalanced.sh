#!/bin/bash
# A 4-128-64-10 network of sigmoids, trained by Adam on ten classes of very different sizes: the gradient
# shrinks on its way back to the first layer, and the rare classes are hardly learned.
source "$(dirname "$0")/nabla.sh"

job=$(train '{
  "name": "sigmoid, imbalanced",
  "dataset": {"generator": "imbalanced", "rows": 2000, "features": 4, "classes": 10, "imbalance": 50, "seed": 1},
  "model": {"layers": [{"units": 128, "activation": "sigmoid"}, {"units": 64, "activation": "sigmoid"}]},
  "optimizer": {"type": "adam", "learning_rate": 0.001},
  "training": {"epochs": 10, "batch_size": 32, "validation_split": 0.2, "seed": 7}
}')
id=$(jq -r .id <<<"$job")
last=$(jq -r .result.steps <<<"$job")

jq -r '.result | "\nloss \(.loss)  accuracy \(.accuracy)  validation accuracy \(.validation_accuracy)"' <<<"$job"
echo
echo "Gradient norm of each layer, first step and last:"
paste -d ' ' <(gradient_norms "$id" 1) <(gradient_norms "$id" "$last") |
    awk '{ printf "  %-16s %12.3e %12.3e\n", $1, $2, $4 }'
