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
echo "A confident mistake as probabilities: below its clipping threshold Keras' formula has no gradient left:"
for convention in exact keras; do
    post /v1/losses "{\"probabilities\": [1e-9, 0.999999999, 0], \"labels\": 0, \"convention\": \"$convention\"}" |
        jq -c "{convention: \"$convention\", loss, gradient, warnings: [.warnings[].code]}"
done
