#include "server/outcome.h"

#include "server/batch.h"
#include "server/report_encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void encode_field(const char *name, double value, bool is_known, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":", name);
    if (is_known)
        encode_number(value, ret);
    else
        buffer_text(ret, "null");
}

static void encode_stop(const struct train_result *result, struct buffer *ret)
{
    static const char *const reasons[] = {
        [STOP_NONE] = "null", [STOP_EARLY] = "\"early_stopping\"", [STOP_TIME_LIMIT] = "\"time_limit\""};
    buffer_format(ret, ",\"stopped\":%s,\"best_epoch\":", reasons[result->stop]);
    if (result->best_epoch > 0)
        buffer_format(ret, "%zu", result->best_epoch);
    else
        buffer_text(ret, "null");
}

void outcome_encode(const struct train_result *result, const struct train_spec *spec, bool is_reproducible,
                    struct buffer *ret)
{
    char platform[TRAINER_PLATFORM_SIZE];
    const bool is_validated = spec->validation_split > 0;
    const bool has_accuracy = result->training->task != TASK_REGRESSION;
    buffer_format(ret, "{\"steps\":%" PRIu64 ",\"epochs\":%zu", result->steps, result->epochs);
    encode_field("loss", result->loss, true, ret);
    encode_field("accuracy", result->accuracy, has_accuracy, ret);
    encode_field("validation_loss", result->validation_loss, is_validated, ret);
    encode_field("validation_accuracy", result->validation_accuracy, is_validated && has_accuracy, ret);
    encode_stop(result, ret);
    encode_field("seconds", result->seconds, true, ret);
    trainer_platform(platform);
    buffer_text(ret, ",\"platform\":");
    buffer_json_string(ret, platform);
    buffer_format(ret, ",\"reproducible\":%s,\"report\":{\"training\":", is_reproducible ? "true" : "false");
    report_encode(result->training, ret);
    buffer_text(ret, ",\"validation\":");
    report_encode(result->validation, ret);
    buffer_char(ret, '}');
    buffer_char(ret, '}');
}

char *outcome_error_text(const struct nabla_error *err, char ret[OUTCOME_TEXT_SIZE])
{
    _Static_assert(sizeof err->pointer + sizeof err->text + 2 <= OUTCOME_TEXT_SIZE, "room for both");
    // Some texts name the place themselves.
    bool is_named = strncmp(err->text, err->pointer, strlen(err->pointer)) == 0;
    snprintf(ret, OUTCOME_TEXT_SIZE, "%s%s%s", is_named ? "" : err->pointer, is_named ? "" : ": ", err->text);
    return ret;
}

void outcome_encode_error(const struct nabla_error *err, struct buffer *ret)
{
    char detail[OUTCOME_TEXT_SIZE];
    buffer_format(ret, "{\"code\":\"%s\",\"detail\":", nabla_code_name(err->code));
    buffer_json_string(ret, outcome_error_text(err, detail));
    buffer_char(ret, '}');
}
