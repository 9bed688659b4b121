#include "server/outcome.h"

#include "server/batch.h"

#include <inttypes.h>
#include <stdio.h>

static void encode_field(const char *name, double value, bool is_known, struct buffer *ret)
{
    buffer_format(ret, ",\"%s\":", name);
    if (is_known)
        encode_number(value, ret);
    else
        buffer_text(ret, "null");
}

void outcome_encode(const struct train_result *result, const struct train_spec *spec, struct buffer *ret)
{
    bool is_validated = spec->validation_split > 0;
    buffer_format(ret, "{\"steps\":%" PRIu64 ",\"epochs\":%zu", result->steps, result->epochs);
    encode_field("loss", result->loss, true, ret);
    encode_field("accuracy", result->accuracy, true, ret);
    encode_field("validation_loss", result->validation_loss, is_validated, ret);
    encode_field("validation_accuracy", result->validation_accuracy, is_validated, ret);
    encode_field("seconds", result->seconds, true, ret);
    buffer_char(ret, '}');
}

void outcome_encode_error(const struct nabla_error *err, struct buffer *ret)
{
    char detail[sizeof err->pointer + sizeof err->text + 2];
    snprintf(detail, sizeof detail, "%s%s%s", err->pointer, err->pointer[0] ? ": " : "", err->text);
    buffer_format(ret, "{\"code\":\"%s\",\"detail\":", nabla_code_name(err->code));
    buffer_json_string(ret, detail);
    buffer_char(ret, '}');
}
