#!/bin/bash
# One row: what is the loss, and what is its gradient? With softmax and cross-entropy the gradient is
# probabilities − one-hot: each entry says how far to move that logit.
source "$(dirname "$0")/nabla.sh"

echo "Four classes, the right one is class 1:"
post /v1/losses '{"logits": [1, 2, 0.1, -1], "labels": 1, "return": ["gradient", "probabilities"]}' |
    jq '{loss, gradient, probabilities}'

echo
echo "A confident mistake: class 0 is right, its logit is 17 below. The gradient is as large as it can be:"
post /v1/losses '{"logits": [0, 17, 16], "labels": 0}' | jq '{loss, gradient, warnings}'

echo
echo "The same mistake as probabilities that float32 has rounded to 0 and 1. Exact arithmetic still has a gradient,"
echo "Keras' clipped formula has none:"
for convention in exact keras; do
    post /v1/losses "{\"probabilities\": [1e-30, 1, 0], \"labels\": 0, \"convention\": \"$convention\"}" |
        jq -c "{convention: \"$convention\", loss, gradient, warnings: [.warnings[].code]}"
done
