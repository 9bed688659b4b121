#include "server/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_a_server_listens_on_becomes_a_url(void **state)
{
    (void)state;
    static const struct {
        const char *comment, *listen, *url;
    } cases[] = {
        {"loopback", "127.0.0.1:8080", "http://127.0.0.1:8080"},
        {"a name", "localhost:81", "http://localhost:81"},
        {"every address", "0.0.0.0:9000", "http://127.0.0.1:9000"},
        {"every address of IPv6", "[::]:9000", "http://[::1]:9000"},
        {"the same without brackets", ":::9000", "http://[::1]:9000"},
        {"one of IPv6", "[::1]:9000", "http://[::1]:9000"},
        {"one that begins like every address", "0.0.0.01:9000", "http://0.0.0.01:9000"},
        {"no port", "0.0.0.0", "http://0.0.0.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char url[ADDRESS_SIZE];
        address_url(cases[i].listen, false, url);
        assert_string_equal(url, cases[i].url);
    }
}

static void the_environment_says_which_server_to_ask(void **state)
{
    (void)state;
    static const struct {
        const char *comment, *url, *listen, *asked;
    } cases[] = {
        {"nothing", NULL, NULL, "http://127.0.0.1:8080"},
        {"a URL", "http://far:1", NULL, "http://far:1"},
        {"where a server listens", NULL, "0.0.0.0:2", "http://127.0.0.1:2"},
        {"both", "http://far:1", "0.0.0.0:2", "http://far:1"},
        {"both empty", "", "", "http://127.0.0.1:8080"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char asked[ADDRESS_SIZE];
        unsetenv("NABLA_URL");
        unsetenv("NABLA_LISTEN");
        if (cases[i].url)
            setenv("NABLA_URL", cases[i].url, 1);
        if (cases[i].listen)
            setenv("NABLA_LISTEN", cases[i].listen, 1);
        address_default(asked);
        assert_string_equal(asked, cases[i].asked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_listens_on_becomes_a_url),
        cmocka_unit_test(the_environment_says_which_server_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
