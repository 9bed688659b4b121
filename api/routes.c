// Every route of the service: one row each. What stands in a column is checked before the handler runs.
#include "api/handlers.h"

#define QUERY_LIST(...)                                                                                      \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

const struct route api_routes[] = {
    {.method = "GET", .pattern = "/", .handle = handle_index, .produces = MEDIA_JSON},
    {.method = "GET", .pattern = "/healthz", .handle = handle_healthz, .produces = MEDIA_JSON},
    {.method = "GET",
     .pattern = "/readyz",
     .handle = handle_readyz,
     .produces = MEDIA_JSON,
     .needs_store = true},
    {.method = "GET", .pattern = "/openapi.json", .handle = handle_openapi, .produces = MEDIA_JSON},
    {.method = "POST",
     .pattern = "/v1/losses",
     .handle = handle_losses,
     .accepts = MEDIA_JSON,
     .produces = MEDIA_JSON,
     .body = API_BODY_MEMORY,
     .query = QUERY_LIST("nonfinite")},
};
const size_t api_route_count = sizeof api_routes / sizeof *api_routes;
