// A call's way: route → query → store → identity → answer's media type → body's place; then the body; then
// the handler. Each check is a column of the route table, and each failing one ends the call with its own
// refusal.
#include "api/api.h"

#include "api/body.h"
#include "api/encoding.h"
#include "api/handler.h"
#include "api/identity.h"
#include "api/job_stream.h"
#include "api/media.h"
#include "api/router.h"
#include "api/trace.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof((struct api_seen *)0)->token == TOKENS_NAME_SIZE &&
                   sizeof((struct api_seen *)0)->token_id == TOKEN_ID_SIZE &&
                   sizeof((struct api_seen *)0)->traceparent == TRACEPARENT_SIZE,
               "what is seen has the size of what it is seen of");

static const size_t KIB = 1024, MIB = (size_t)1 << 20, GIB = (size_t)1 << 30;

// Bodies up to this size are read and answered in about 200 µs.
enum { SHORT_BODY = 16384 };

struct api_limits api_limits_defaults(void)
{
    return (struct api_limits){
        .body_bytes = 64 * MIB,
        .bodies_bytes = 1 * GIB,
        .upload_bytes = 1 * GIB,
        .document_bytes = 1024 * KIB,
        .dataset_rows = 10000000,
        .dataset_columns = 100000,
        .dataset_classes = 100000,
        .dataset_bytes = 1 * GIB,
        .parameters = 100000000,
        .work = 1000000000000000000,
        .job_bytes = 4 * GIB,
        .job_threads = 1,
        .queued_jobs = 1000,
        .history_rows = 100000,
        .retries = 10,
        .metric_names = 1000,
        .wait_seconds = 60,
    };
}

enum nabla_code api_new(const struct api_options *options, struct api **ret, struct nabla_error *err)
{
    struct api *api = malloc(sizeof *api);
    if (!api)
        return nabla_fail_memory(err, "the api");
    *api = (struct api){.options = *options, .blocks = stream_blocks_new()};
    *ret = api;
    return NABLA_OK;
}

void api_free(struct api *api)
{
    if (api)
        stream_blocks_free(api->blocks);
    free(api);
}

// One block: the array, then its texts. Requests are many and their headers few.
static bool copy_headers(struct api_call *call, const struct api_request *request)
{
    size_t size = request->header_count * sizeof *call->headers;
    for (size_t i = 0; i < request->header_count; i++)
        size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 2;
    call->headers = malloc(size ? size : 1);
    if (!call->headers)
        return false;
    char *text = (char *)(call->headers + request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        call->headers[i].name = text;
        text = stpcpy(text, request->headers[i].name) + 1;
        call->headers[i].value = text;
        text = stpcpy(text, request->headers[i].value) + 1;
    }
    call->header_count = request->header_count;
    return true;
}

static bool check_store(struct api_call *call, struct api_answer *ret)
{
    if (!call->route->needs_store || call->api->options.store)
        return true;
    answer_status(ret, call, 503, "%s needs a store, and this runs without one", call->route->pattern);
    return false;
}

static bool check_accept(struct api_call *call, struct api_answer *ret)
{
    char list[MEDIA_LIST_SIZE];
    if (!call->route->produces)
        return true;
    call->accept = media_choose(call, call->route->produces, call->route->prefers);
    if (call->accept)
        return true;
    media_list(list, call->route->produces);
    answer_status(ret, call, 406, "this can be had as %s; the Accept header takes none of it", list);
    return false;
}

static void look(const struct api_call *call, struct api_seen *ret)
{
    const struct route *route = call->route;
    *ret =
        (struct api_seen){.route = route ? (size_t)(route - api_routes) : SIZE_MAX,
                          .is_change = route && route->identity != IDENTITY_READ &&
                                       route->identity != IDENTITY_JOB && strcmp(route->method, "GET") != 0};
    memcpy(ret->token, call->grant.name, sizeof ret->token);
    memcpy(ret->token_id, call->grant.id, sizeof ret->token_id);
    memcpy(ret->traceparent, call->traceparent, sizeof ret->traceparent);
}

void api_open(struct api *api, const struct api_request *request, struct api_call **ret_call,
              struct api_answer *ret_answer)
{
    *ret_call = NULL;
    *ret_answer = (struct api_answer){.fd = -1};
    if (request->seen)
        *request->seen = (struct api_seen){.route = SIZE_MAX};
    struct api_call *call = malloc(sizeof *call);
    if (!call) {
        api_refuse(ret_answer, 503, NULL, "cannot allocate the call");
        return;
    }
    *call = (struct api_call){
        .api = api, .body_fd = -1, .listener = request->listener, .request_id = request->request_id};
    if (copy_headers(call, request))
        trace_parse(call_header(call, "traceparent"), call->traceparent);
    if (!call->headers)
        answer_status(ret_answer, call, 503, "cannot allocate the request's headers");
    else if (router_find(call, request->method, request->target, ret_answer) &&
             router_query(call, ret_answer) && check_store(call, ret_answer) &&
             identity_check(call, ret_answer) && check_accept(call, ret_answer) &&
             body_open(call, ret_answer)) {
        *ret_call = call;
    }
    if (request->seen)
        look(call, request->seen);
    if (!*ret_call)
        api_close(call);
}

void api_close(struct api_call *call)
{
    if (!call)
        return;
    body_close(call);
    identity_leave(call);
    free(call->watches);
    free(call->headers);
    free(call->target);
    free(call->path);
    free(call);
}

bool api_body(struct api_call *call, const void *bytes, size_t size, struct api_answer *ret_answer)
{
    struct nabla_error err;
    if (body_take(call, bytes, size, &err) == NABLA_OK)
        return true;
    answer_error(ret_answer, call, &err);
    return false;
}

bool api_call_is_long(const struct api_call *call)
{
    const struct route *route = call->route;
    return route->is_long || call->body_size > SHORT_BODY ||
           (route->long_with && call_query(call, route->long_with));
}

// An answer that could not be made whole must not go out as if it were.
static void settle(struct api_answer *answer, const struct api_call *call)
{
    if (answer->kind != API_COMPLETE || !answer->body.failed)
        return;
    api_answer_free(answer);
    answer_status(answer, call, 503, "there was not enough memory for the answer");
    if (answer->body.failed)
        buffer_free(&answer->body);
}

bool api_peek(struct api_call *call, struct api_answer *ret_answer)
{
    *ret_answer = (struct api_answer){.fd = -1};
    return call->route->peek && call->route->peek(call, ret_answer);
}

void api_handle(struct api_call *call, struct api_answer *ret_answer)
{
    struct nabla_error err;
    *ret_answer = (struct api_answer){.fd = -1};
    bool has_waited = call->wait_deadline_ms != 0;
    if (body_end(call, &err))
        answer_error(ret_answer, call, &err);
    else if (!has_waited || identity_still(call, ret_answer))
        call->route->handle(call, ret_answer);
    if (ret_answer->kind == API_COMPLETE) // whoever reads it slowly need not hold the body
        body_let_go(call);
    answer_encode(ret_answer, call);
    settle(ret_answer, call);
}

const char *api_call_route(const struct api_call *call)
{
    return call && call->route ? call->route->pattern : "";
}

size_t api_route_total(void)
{
    return api_route_count;
}

bool api_route_at(size_t number, const char **ret_method, const char **ret_pattern)
{
    if (number >= api_route_count)
        return false;
    *ret_method = api_routes[number].method;
    *ret_pattern = api_routes[number].pattern;
    return true;
}
