// What is not about losses, data or jobs: the index, health, and the contract.
#include "api/handlers.h"
#include "api/openapi_data.h"
#include "store/store.h"

void handle_index(struct api_call *call, struct api_answer *ret)
{
    (void)call;
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

void handle_openapi(struct api_call *call, struct api_answer *ret)
{
    (void)call;
    answer_begin(ret, 200, media_name(MEDIA_JSON));
    buffer_append(&ret->body, openapi_json, openapi_json_size());
}
