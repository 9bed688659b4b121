// What is not about losses, data or jobs: the index, health, and the contract.
#include "api/handlers.h"
#include "api/openapi_data.h"
#include "store/usage.h"

#include <inttypes.h>

void handle_index(struct api_call *call, struct api_answer *ret)
{
    if (call->accept == MEDIA_HTML) { // a browser
        handle_dashboard(call, ret);
        return;
    }
    answer_json(ret, 200,
                "{\"name\":\"nabla\",\"version\":\"%s\",\"links\":{"
                "\"losses\":\"/v1/losses\",\"datasets\":\"/v1/datasets\",\"jobs\":\"/v1/jobs\","
                "\"health\":\"/healthz\",\"readiness\":\"/readyz\",\"contract\":\"/openapi.json\"}}\n",
                NABLA_VERSION);
}

// Alive: asks nothing of the store, so that a busy disk does not get the process killed.
void handle_healthz(struct api_call *call, struct api_answer *ret)
{
    (void)call;
    answer_json(ret, 200, "{\"status\":\"ok\",\"version\":\"%s\"}\n", NABLA_VERSION);
}

void handle_readyz(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    if (store_ping(call->api->options.store, &err) == NABLA_OK) {
        answer_json(ret, 200, "{\"status\":\"ready\"}\n");
    } else {
        call_failed(call, &err);
        answer_status(ret, call, 503, "the store does not answer; the server's log has the cause");
    }
}

// What the store knows; its size as the last walk found it, for this must not wait for a disk.
static void write_store(struct store *store, struct buffer *ret)
{
    uint64_t counts[JOB_STATE_COUNT];
    struct nabla_error err;
    if (store_job_counts(store, counts, &err) == NABLA_OK) {
        buffer_text(ret, "# HELP nabla_jobs Jobs, by state.\n# TYPE nabla_jobs gauge\n");
        for (int state = 0; state < JOB_STATE_COUNT; state++)
            buffer_format(ret, "nabla_jobs{state=\"%s\"} %" PRIu64 "\n", job_state_name(state),
                          counts[state]);
    }
    buffer_format(
        ret,
        "# HELP nabla_store_bytes Size of the data folder.\n# TYPE nabla_store_bytes gauge\n"
        "nabla_store_bytes %" PRIu64 "\n"
        "# HELP nabla_training_steps_total Training steps that were reported since the server started.\n"
        "# TYPE nabla_training_steps_total counter\nnabla_training_steps_total %" PRIu64 "\n",
        store_usage_known(store), store_usage_steps(store));
}

void handle_metrics(struct api_call *call, struct api_answer *ret)
{
    const struct api_options *options = &call->api->options;
    answer_begin(ret, 200, "text/plain; version=0.0.4; charset=utf-8");
    answer_header(ret, "Cache-Control", "no-store");
    buffer_text(&ret->body, "# HELP nabla_build_info The program that runs.\n# TYPE nabla_build_info gauge\n"
                            "nabla_build_info{version=\"" NABLA_VERSION "\"} 1\n");
    if (options->store)
        write_store(options->store, &ret->body);
    if (options->metrics)
        options->metrics(options->context, &ret->body);
}

void handle_openapi(struct api_call *call, struct api_answer *ret)
{
    (void)call;
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_append(&ret->body, openapi_json, openapi_json_size());
}
