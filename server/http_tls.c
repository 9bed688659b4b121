// A handshake may still be using what a reload replaces, and the library does not say when it is done: each
// generation is kept for longer than a handshake may take.
#include "server/http_tls.h"

#include "base/clock.h"
#include "server/http_tls_callback.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 16, KEEP_MS = 60000 };

struct generation {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
    int64_t retired_ms;
    struct generation *older;
};

struct http_tls {
    char *certificate, *key; // paths
    pthread_mutex_t lock;
    struct generation *newest;
};

static struct http_tls *served; // set before the server starts, cleared after it has stopped

static void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    for (unsigned i = 0; i < generation->count; i++)
        gnutls_pcert_deinit(&generation->chain[i]);
    if (generation->key)
        gnutls_privkey_deinit(generation->key);
    free(generation);
}

static enum nabla_code fail(struct nabla_error *err, const char *path, int why)
{
    return nabla_fail(err, NABLA_INVALID, NULL, "%s: %s", path, gnutls_strerror(why));
}

// That the two belong together: credentials refuse a pair that does not.
static enum nabla_code check_pair(const struct http_tls *tls, struct nabla_error *err)
{
    gnutls_certificate_credentials_t credentials;
    int why = gnutls_certificate_allocate_credentials(&credentials);
    if (why < 0)
        return fail(err, tls->certificate, why);
    why = gnutls_certificate_set_x509_key_file(credentials, tls->certificate, tls->key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return why < 0 ? nabla_fail(err, NABLA_INVALID, NULL, "the certificate %s with the key %s: %s",
                                tls->certificate, tls->key, gnutls_strerror(why))
                   : NABLA_OK;
}

static int read_key(const char *path, gnutls_privkey_t *ret)
{
    gnutls_datum_t text;
    int why = gnutls_load_file(path, &text);
    if (why < 0)
        return why;
    why = gnutls_privkey_init(ret);
    if (why >= 0)
        why = gnutls_privkey_import_x509_raw(*ret, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(text.data, 0, text.size);
    gnutls_free(text.data);
    return why;
}

static enum nabla_code generation_read(const struct http_tls *tls, struct generation **ret,
                                       struct nabla_error *err)
{
    enum nabla_code code = check_pair(tls, err);
    if (code)
        return code;
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation)
        return nabla_fail_memory(err, "the certificate");
    unsigned count = CHAIN_MAX;
    int why = gnutls_pcert_list_import_x509_file(generation->chain, &count, tls->certificate,
                                                 GNUTLS_X509_FMT_PEM, NULL, NULL, 0);
    if (why < 0) {
        code = fail(err, tls->certificate, why);
    } else {
        generation->count = count;
        why = read_key(tls->key, &generation->key);
        if (why < 0)
            code = fail(err, tls->key, why);
    }
    if (code)
        generation_free(generation);
    else
        *ret = generation;
    return code;
}

enum nabla_code http_tls_new(const char *certificate, const char *key, struct http_tls **ret,
                             struct nabla_error *err)
{
    struct http_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return nabla_fail_memory(err, "the certificate");
    pthread_mutex_init(&tls->lock, NULL);
    tls->certificate = strdup(certificate);
    tls->key = strdup(key);
    enum nabla_code code = tls->certificate && tls->key ? generation_read(tls, &tls->newest, err)
                                                        : nabla_fail_memory(err, "the certificate's path");
    if (code) {
        http_tls_free(tls);
        return code;
    }
    served = tls;
    *ret = tls;
    return NABLA_OK;
}

void http_tls_free(struct http_tls *tls)
{
    if (!tls)
        return;
    if (served == tls)
        served = NULL;
    while (tls->newest) {
        struct generation *older = tls->newest->older;
        generation_free(tls->newest);
        tls->newest = older;
    }
    pthread_mutex_destroy(&tls->lock);
    free(tls->certificate);
    free(tls->key);
    free(tls);
}

static void drop_old(struct http_tls *tls, int64_t now)
{
    for (struct generation **at = &tls->newest->older; *at;) {
        struct generation *old = *at;
        if (now - old->retired_ms < KEEP_MS) {
            at = &old->older;
            continue;
        }
        *at = old->older;
        generation_free(old);
    }
}

enum nabla_code http_tls_reload(struct http_tls *tls, struct nabla_error *err)
{
    struct generation *fresh;
    enum nabla_code code = generation_read(tls, &fresh, err);
    if (code)
        return code;
    int64_t now = clock_monotonic_ms();
    pthread_mutex_lock(&tls->lock);
    tls->newest->retired_ms = now;
    fresh->older = tls->newest;
    tls->newest = fresh;
    drop_old(tls, now);
    pthread_mutex_unlock(&tls->lock);
    return NABLA_OK;
}

int http_tls_callback(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                      const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                      gnutls_pcert_st **ret_chain, unsigned *ret_count, gnutls_privkey_t *ret_key)
{
    (void)session, (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    if (!served)
        return -1;
    pthread_mutex_lock(&served->lock);
    *ret_chain = served->newest->chain;
    *ret_count = served->newest->count;
    *ret_key = served->newest->key;
    pthread_mutex_unlock(&served->lock);
    return 0;
}
