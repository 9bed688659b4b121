#include "server/worker_log.h"

#include "base/clock.h"
#include "server/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { TEXT_SIZE = 900, PROGRESS_MS = 5000, PROGRESS_SHARE = 100 };

static const struct log standard_error = {.level = LOG_INFO, .format = LOG_TEXT};

struct worker_log worker_log_new(unsigned attempt)
{
    int64_t now = clock_monotonic_ms();
    return (struct worker_log){.attempt = attempt, .begun_ms = now, .next_ms = now + PROGRESS_MS};
}

void worker_log_write(const struct worker_log *log, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_write(&standard_error, LOG_INFO, "attempt %u: %s", log->attempt, text);
}

void worker_log_progress(struct worker_log *log, const struct train_progress *progress)
{
    int64_t now = clock_monotonic_ms(), rare = (now - log->begun_ms) / PROGRESS_SHARE;
    if (now < log->next_ms)
        return;
    log->next_ms = now + (rare > PROGRESS_MS ? rare : PROGRESS_MS);
    char validation[48] = "";
    if (!isnan(progress->validation_loss))
        snprintf(validation, sizeof validation, ", validation loss %.4g", progress->validation_loss);
    worker_log_write(log, "step %" PRIu64 " of %" PRIu64 ", epoch %zu of %zu, loss %.4g%s", progress->step,
                     progress->steps, progress->epoch, progress->epochs, progress->loss, validation);
}
