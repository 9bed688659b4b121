// A loss and its gradient without a server. With libnabla installed (sudo make install):
//   cc -o loss loss.c $(pkg-config --cflags --libs nabla) && ./loss
#include <nabla/math/loss.h>

#include <stdio.h>

int main(void)
{
    double logits[4] = {1, 2, 0.1, -1}, gradient[4];
    int64_t label = 1;
    struct nabla_loss loss = nabla_loss_defaults(NABLA_CROSS_ENTROPY);
    struct nabla_loss_batch batch = {
        .dtype = NABLA_FLOAT64, .rows = 1, .classes = 4, .scores = logits, .ids = &label};
    struct nabla_loss_result result = {.gradient = gradient};
    struct nabla_error err;
    if (nabla_loss_compute(&loss, &batch, &result, &err) != NABLA_OK) {
        fprintf(stderr, "%s: %s\n", err.pointer, err.text);
        return 1;
    }
    printf("loss %.7f\ngradient", result.loss);
    for (int j = 0; j < 4; j++)
        printf(" %.7f", gradient[j]);
    printf("\n");
}
