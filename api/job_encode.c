#include "api/job_encode.h"

#include "api/write.h"
#include "base/clock.h"
#include "base/stats.h"

#include <inttypes.h>
#include <math.h>

void encode_time(int64_t wall_ms, struct buffer *ret)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms == 0)
        buffer_text(ret, "null");
    else
        buffer_format(ret, "\"%s\"", clock_format(text, wall_ms));
}

void job_encode_request(enum job_request request, struct buffer *ret)
{
    if (request == JOB_REQUEST_NONE)
        buffer_text(ret, "null");
    else
        buffer_format(ret, "\"%s\"", job_request_name(request));
}

static double progress_fraction(const struct job *job)
{
    const struct job_progress *progress = &job->progress;
    return progress->steps > 0 ? fmin((double)progress->step / (double)progress->steps, 1) : 0;
}

// Whole seconds, by the pace of the newest attempt, so that a pause does not count; NaN where there is
// nothing to go by.
static double progress_eta(const struct job *job)
{
    const struct job_progress *progress = &job->progress;
    const int64_t since_ms = job->attempt_ms > 0 ? job->attempt_ms : job->started_ms;
    if (job->state != JOB_RUNNING || progress->step <= job->attempt_step || since_ms == 0)
        return NAN;
    const double elapsed = (double)(clock_steady_ms() - since_ms) / 1000;
    if (elapsed < 0) // the clock was set back before this server started: the pace is unknown
        return NAN;
    const double left = progress->step < progress->steps ? (double)(progress->steps - progress->step) : 0;
    return round(elapsed * left / (double)(progress->step - job->attempt_step));
}

void job_encode_progress(const struct job *job, struct buffer *ret)
{
    const struct job_progress *progress = &job->progress;
    buffer_format(ret,
                  "{\"step\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"epochs\":%" PRIu64
                  ",\"fraction\":",
                  progress->step, progress->steps, progress->epoch, progress->epochs);
    write_double(ret, progress_fraction(job), false);
    buffer_text(ret, ",\"eta_seconds\":");
    write_double(ret, progress_eta(job), true);
    buffer_char(ret, '}');
}

// There is no validation figure before the first epoch ends, and none without a validation part: null.
void job_encode_latest(const struct job *job, struct buffer *ret)
{
    if (!job->has_latest) {
        buffer_text(ret, "null");
        return;
    }
    buffer_text(ret, "{\"loss\":");
    write_double(ret, job->latest.loss, false);
    buffer_text(ret, ",\"accuracy\":");
    write_double(ret, job->latest.accuracy, !(job->network_stats & 1U << NETWORK_ACCURACY)); // none is null
    buffer_text(ret, ",\"validation_loss\":");
    write_double(ret, job->latest.validation_loss, true);
    buffer_text(ret, ",\"validation_accuracy\":");
    write_double(ret, job->latest.validation_accuracy, true);
    buffer_char(ret, '}');
}

static void encode_head(const struct job *job, struct buffer *ret)
{
    buffer_format(ret, "{\"id\":\"%s\",\"name\":", job->id);
    buffer_json_string(ret, job->name ? job->name : "");
    buffer_format(ret, ",\"state\":\"%s\",\"requested\":", job_state_name(job->state));
    job_encode_request(job->requested, ret);
    buffer_format(ret, ",\"revision\":%" PRIu64 ",\"attempt\":%u,\"spec\":%s", job->revision, job->attempt,
                  job->spec);
}

static void encode_times(const struct job *job, struct buffer *ret)
{
    buffer_text(ret, ",\"created_at\":");
    encode_time(job->created_ms, ret);
    buffer_text(ret, ",\"started_at\":");
    encode_time(job->started_ms, ret);
    buffer_text(ret, ",\"finished_at\":");
    encode_time(job->finished_ms, ret);
}

void job_encode(const struct job *job, const char *token, struct buffer *ret)
{
    encode_head(job, ret);
    buffer_text(ret, ",\"progress\":");
    job_encode_progress(job, ret);
    buffer_text(ret, ",\"latest\":");
    job_encode_latest(job, ret);
    buffer_format(ret, ",\"result\":%s,\"error\":%s", job->result ? job->result : "null",
                  job->error ? job->error : "null");
    encode_times(job, ret);
    if (token)
        buffer_format(ret, ",\"token\":\"%s\"", token);
    buffer_char(ret, '}');
}
