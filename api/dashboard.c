// The dashboard: files that are part of the program, served by exact name and from nowhere else. It
// asks the api like any other client; without a token it shows nothing that needs one.
#include "api/handlers.h"
#include "api/jobs_poll.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// A file that becomes part of the program, with a NUL behind it, as `name` up to `name_end`.
#define EMBED(name, file)                                                                                    \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #name "\n.hidden " #name "\n.global " #name "_end\n.hidden " #name "_end\n" #name     \
            ":\n.incbin \"api/dashboard/" file "\"\n" #name "_end:\n.byte 0\n"                               \
            ".previous\n");                                                                                  \
    extern const char name[], name##_end[]

EMBED(dashboard_html, "dashboard.html");
EMBED(dashboard_css, "dashboard.css");
EMBED(dashboard_js, "dashboard.js");
EMBED(dashboard_charts, "charts.js");
EMBED(dashboard_compare, "compare.js");
EMBED(dashboard_server, "server.js");

static const struct asset {
    const char *pattern; // of its route
    enum route_media media;
    const char *begin, *end;
} assets[] = {
    {"/", MEDIA_HTML, dashboard_html, dashboard_html_end},
    {"/dashboard.css", MEDIA_CSS, dashboard_css, dashboard_css_end},
    {"/dashboard.js", MEDIA_SCRIPT, dashboard_js, dashboard_js_end},
    {"/dashboard-charts.js", MEDIA_SCRIPT, dashboard_charts, dashboard_charts_end},
    {"/dashboard-compare.js", MEDIA_SCRIPT, dashboard_compare, dashboard_compare_end},
    {"/dashboard-server.js", MEDIA_SCRIPT, dashboard_server, dashboard_server_end},
};

// Nothing from elsewhere, no script or style within the page, in nobody's frame.
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const struct asset *asset_find(const char *pattern)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
        if (strcmp(assets[i].pattern, pattern) == 0)
            return &assets[i];
    return NULL;
}

// FNV-1a: an entity tag need only differ where the bytes do.
static uint64_t asset_hash(const struct asset *asset)
{
    uint64_t hash = 14695981039346656037U;
    for (const char *c = asset->begin; c < asset->end; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211;
    return hash;
}

void handle_dashboard(struct api_call *call, struct api_answer *ret)
{
    const struct asset *asset = asset_find(call->route->pattern);
    assert(asset); // each of the dashboard's routes has one
    char etag[ETAG_SIZE], type[64];
    snprintf(type, sizeof type, "%s; charset=utf-8", media_name(asset->media));
    etag_make(etag, asset_hash(asset), "");
    if (etag_is_known(call, etag)) {
        poll_unchanged(call, etag, ret);
        return;
    }
    answer_begin(ret, 200, type);
    poll_headers(call, etag, ret);
    answer_header(ret, "Vary", "Accept");
    answer_header(ret, "Content-Security-Policy", "%s", policy);
    answer_header(ret, "Referrer-Policy", "no-referrer");
    buffer_append(&ret->body, asset->begin, (size_t)(asset->end - asset->begin));
}
