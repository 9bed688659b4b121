// A job that has been trained within the test's own process (trained_model.h). Include behind cmocka.h.
#ifndef NABLA_TESTS_TRAINED_JOB_H
#define NABLA_TESTS_TRAINED_JOB_H

#include "tests/service.h"
#include "tests/trained_model.h"

#define assert_done(call)                                                                                    \
    do {                                                                                                     \
        struct nabla_error why = {.text = ""};                                                               \
        if ((call) != NABLA_OK)                                                                              \
            fail_msg("%s", why.text);                                                                        \
    } while (0)

// The document's rows stand in it, or are generated. *ret gets the job's id.
static inline void trained_job(struct service *service, const char *document, char ret[TOKEN_ID_SIZE])
{
    json_t *made = service_json(service, "POST", "/v1/jobs", document, 202);
    assert_done(trained_model_make(service->store, service->folder, document, ret, &why));
    assert_string_equal(json_text(made, "id"), ret);
    json_decref(made);
}

#endif
