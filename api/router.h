// From a request's target to a route: the path is split into segments, each decoded once, and matched against
// the patterns of the route table; the query is split, decoded and checked against what the route knows.
#ifndef NABLA_API_ROUTER_H
#define NABLA_API_ROUTER_H

#include "api/handler.h"

// Fills the call's path, target, route and params. False: *ret is the refusal (400, 404, 405 with Allow).
bool router_find(struct api_call *call, const char *method, const char *target, struct api_answer *ret);

// Fills the call's query. False: *ret is the refusal (400).
bool router_query(struct api_call *call, struct api_answer *ret);

#endif
