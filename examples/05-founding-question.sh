#!/bin/bash
# Do gradients vanish in Keras' categorical cross-entropy when the correct class is improbable? It depends on the
# path: from logits never, from probabilities below 1e-7 always. docs/vanishing-gradients.md explains it.
source "$(dirname "$0")/nabla.sh"

echo "Class 0 is right and has probability 3e-8. Loss and gradient with respect to its logit, on every path:"
echo
comparison=$(post /v1/losses/compare '{"logits": [0, 17, 16], "labels": 0}')
jq -r '.paths[] | [.path, .loss, (.gradient_logits // .gradient)[0]] | @tsv' <<<"$comparison" |
    awk -F '\t' '{ printf "  %-30s %10.6f %14.7g\n", $1, $2, $3 }'
echo
jq -r '"  kept: \(.rows[0].kept | join(", "))\n  lost: \(.rows[0].lost | join(", "))"' <<<"$comparison"

echo
echo "From which probability on downwards the gradient is exactly 0, and below 1e-7:"
echo
post /v1/losses/sweep '{}' |
    jq -r '.paths[] | [.path, .dtype, .thresholds.zero // "never", .thresholds.tiny // "never"] | @tsv' |
    awk -F '\t' '{ printf "  %-30s %-8s %-22s %s\n", $1, $2, $3, $4 }'
