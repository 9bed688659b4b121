#include "api/identity.h"

#include "store/jobs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void refuse(struct api_call *call, struct api_answer *ret, const char *detail, const char *challenge)
{
    answer_status(ret, call, 401, "%s", detail);
    answer_header(ret, "WWW-Authenticate", "Bearer realm=\"%s\"%s",
                  call->route->identity == IDENTITY_JOB ? "job" : "nabla", challenge);
}

// NULL: *ret asks for one.
static const char *bearer(struct api_call *call, struct api_answer *ret)
{
    const char *given = call_header(call, "Authorization");
    if (given && strncasecmp(given, "Bearer ", 7) == 0 && given[7])
        return given + 7;
    refuse(call, ret,
           call->route->identity == IDENTITY_JOB
               ? "send the job's own token: \"Authorization: Bearer …\""
               : "this server asks for a token: \"Authorization: Bearer …\"; nabla token create makes one",
           "");
    return NULL;
}

// The job that a call is about: that of the path, or the one whose history it also writes to.
static const char *job_of(const struct api_call *call)
{
    return call->params[0] ? call->params[0] : call_query(call, "job");
}

static enum nabla_code job_authorize(const struct api_call *call, const char *secret, struct nabla_error *err)
{
    char sha256[TOKEN_SHA256_SIZE];
    token_sha256(sha256, secret, strlen(secret));
    return store_job_authorize(call->api->options.store, job_of(call), sha256, err);
}

static bool check_job(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    const char *secret = bearer(call, ret);
    if (!secret)
        return false;
    if (job_authorize(call, secret, &err) == NABLA_OK)
        return true;
    answer_error(ret, call, &err);
    return false;
}

static bool is_job_read(const struct api_call *call)
{
    static const char jobs[] = "/v1/jobs/{id}";
    return strcmp(call->route->method, "GET") == 0 &&
           strncmp(call->route->pattern, jobs, sizeof jobs - 1) == 0;
}

// The workers' own listener is for what concerns their job, whoever got hold of one.
static bool check_worker(struct api_call *call, struct api_answer *ret)
{
    if (is_job_read(call))
        return check_job(call, ret);
    answer_status(ret, call, 403, "workers have no business with %s %s", call->route->method,
                  call->route->pattern);
    return false;
}

static enum token_scope scope_of(const struct route *route)
{
    if (route->identity == IDENTITY_BY_METHOD)
        return strcmp(route->method, "GET") == 0 ? SCOPE_READ : SCOPE_WRITE;
    return route->identity == IDENTITY_READ ? SCOPE_READ : SCOPE_ADMIN;
}

static void refuse_scope(struct api_call *call, enum token_scope scope, struct api_answer *ret)
{
    const char *name = tokens_scope_name(scope);
    answer_status(ret, call, 403, "%s %s needs the scope %s, which the token \"%s\" does not have",
                  call->route->method, call->route->pattern, name, call->grant.name);
    answer_header(ret, "WWW-Authenticate",
                  "Bearer realm=\"nabla\", error=\"insufficient_scope\", scope=\"%s\"", name);
}

static void refuse_unknown(struct api_call *call, struct api_answer *ret)
{
    refuse(call, ret, "there is no such token, or it has expired", ", error=\"invalid_token\"");
}

static bool check_token(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    enum token_scope scope = scope_of(call->route);
    const char *secret = bearer(call, ret);
    if (!secret)
        return false;
    enum nabla_code code =
        token_table_enter(call->api->options.tokens, secret, &call->grant, &call->token_use, &err);
    if (code == NABLA_DENIED && is_job_read(call) && job_authorize(call, secret, &err) == NABLA_OK)
        return true;
    if (code == NABLA_DENIED)
        refuse_unknown(call, ret);
    else if (code == NABLA_BUSY)
        answer_status(ret, call, 429, "%s", err.text);
    else if (code)
        answer_error(ret, call, &err);
    else if (!(call->grant.scopes & scope))
        refuse_scope(call, scope, ret);
    return code == NABLA_OK && call->grant.scopes & scope;
}

static bool check_job_query(struct api_call *call, struct api_answer *ret)
{
    if (call->api->options.store)
        return check_job(call, ret);
    answer_status(ret, call, 503, "there is no job to record in: this runs without a store");
    return false;
}

enum nabla_code identity_recheck(const struct api_call *call, struct nabla_error *err)
{
    const char *given = call_header(call, "Authorization");
    return given && strlen(given) > 7 ? job_authorize(call, given + 7, err)
                                      : nabla_fail(err, NABLA_DENIED, NULL, "the job's token is missing");
}

enum nabla_code identity_stands(const struct api *api, const char *owner, struct nabla_error *err)
{
    return api->options.tokens && owner[0] ? token_table_check(api->options.tokens, owner, err) : NABLA_OK;
}

bool identity_still(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err;
    enum nabla_code code = identity_stands(call->api, identity_owner(call), &err);
    if (code == NABLA_DENIED)
        refuse_unknown(call, ret);
    else if (code)
        answer_error(ret, call, &err);
    return code == NABLA_OK;
}

bool identity_check(struct api_call *call, struct api_answer *ret)
{
    switch (call->route->identity) {
    case IDENTITY_ANYONE:
        return true;
    case IDENTITY_JOB:
        return check_job(call, ret);
    case IDENTITY_READ:
        if (call_query(call, "job")) // writes to it, too
            return check_job_query(call, ret);
        break;
    case IDENTITY_BY_METHOD:
    case IDENTITY_ADMIN:
        break;
    }
    if (call->listener == API_WORKER)
        return check_worker(call, ret);
    return !call->api->options.tokens || check_token(call, ret);
}

void identity_leave(struct api_call *call)
{
    token_table_leave(call->api->options.tokens, call->token_use);
    call->token_use = NULL;
}

uint64_t identity_limit(uint64_t server, uint64_t token)
{
    return token && token < server ? token : server;
}

const char *identity_owner(const struct api_call *call)
{
    return call->grant.id;
}
