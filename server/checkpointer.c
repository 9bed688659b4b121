#include "server/checkpointer.h"

#include "base/clock.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TIMES_ITS_COST = 20 };

static const char mixed[] = "mixed";

static void identify(const char *spec, const char *dataset, char ret[TOKEN_SHA256_SIZE])
{
    char both[2 * TOKEN_SHA256_SIZE];
    token_sha256(both, spec, strlen(spec));
    token_sha256(both + TOKEN_SHA256_SIZE - 1, dataset, strlen(dataset));
    token_sha256(ret, both, strlen(both));
}

struct checkpointer checkpointer_new(const char *folder, struct trainer *trainer, const char *spec,
                                     const char *dataset, double every_seconds)
{
    struct checkpointer checkpointer = {.folder = folder,
                                        .trainer = trainer,
                                        .every_ms = (int64_t)(every_seconds * 1000),
                                        .due_ms = INT64_MAX};
    identify(spec, dataset, checkpointer.identity);
    trainer_platform(checkpointer.platform);
    if (every_seconds > 0)
        checkpointer.due_ms = clock_monotonic_ms() + checkpointer.every_ms;
    return checkpointer;
}

bool checkpointer_is_due(const struct checkpointer *checkpointer)
{
    return checkpointer->due_ms != INT64_MAX && clock_monotonic_ms() >= checkpointer->due_ms;
}

bool checkpointer_is_reproducible(const struct checkpointer *checkpointer)
{
    return strcmp(checkpointer->platform, mixed) != 0;
}

enum nabla_code checkpointer_save(struct checkpointer *checkpointer, const struct buffer *luggage,
                                  char ret_detail[CHECKPOINTER_DETAIL_SIZE], struct nabla_error *err)
{
    const struct checkpoint_origin origin = {.identity = checkpointer->identity,
                                             .platform = checkpointer->platform,
                                             .luggage = luggage->data,
                                             .luggage_size = luggage->size};
    const uint64_t step = trainer_step(checkpointer->trainer);
    const int64_t start_ms = clock_monotonic_ms();
    size_t bytes;
    enum nabla_code code =
        checkpoint_write(checkpointer->folder, checkpointer->trainer, &origin, &bytes, err);
    const int64_t now_ms = clock_monotonic_ms(), cost_ms = (now_ms - start_ms) * TIMES_ITS_COST;
    if (checkpointer->due_ms != INT64_MAX)
        checkpointer->due_ms = now_ms + (cost_ms > checkpointer->every_ms ? cost_ms : checkpointer->every_ms);
    if (code)
        snprintf(ret_detail, CHECKPOINTER_DETAIL_SIZE, "step %" PRIu64 " could not be saved: %.180s", step,
                 err->text);
    else
        snprintf(ret_detail, CHECKPOINTER_DETAIL_SIZE, "step %" PRIu64 ", %zu bytes", step, bytes);
    return code;
}

static void describe_restored(const struct checkpointer *checkpointer, const struct checkpoint_found *found,
                              char ret_detail[CHECKPOINTER_DETAIL_SIZE])
{
    const bool is_same = strcmp(found->platform, checkpointer->platform) == 0;
    snprintf(ret_detail, CHECKPOINTER_DETAIL_SIZE, "from the checkpoint of step %" PRIu64 "%s%.90s%s%.90s",
             found->step, is_same ? "" : "; not reproducible: it was written on ",
             is_same ? "" : found->platform, found->refused ? "; " : "",
             found->refused ? found->problem : "");
}

enum nabla_code checkpointer_restore(struct checkpointer *checkpointer, bool is_first,
                                     struct checkpoint_found *ret, const char **ret_event,
                                     char ret_detail[CHECKPOINTER_DETAIL_SIZE], struct nabla_error *err)
{
    const struct checkpoint_origin origin = {.identity = checkpointer->identity,
                                             .platform = checkpointer->platform};
    enum nabla_code code = checkpoint_read(checkpointer->folder, checkpointer->trainer, &origin, ret, err);
    if (code)
        return code;
    *ret_event = NULL;
    if (ret->is_found) {
        *ret_event = "restored";
        describe_restored(checkpointer, ret, ret_detail);
        if (strcmp(ret->platform, checkpointer->platform) != 0)
            snprintf(checkpointer->platform, sizeof checkpointer->platform, "%s", mixed);
    } else if (ret->refused || !is_first) {
        *ret_event = "restarted";
        snprintf(ret_detail, CHECKPOINTER_DETAIL_SIZE, "from the start: %.200s",
                 ret->refused ? ret->problem : "no checkpoint was written yet");
    }
    return NABLA_OK;
}
