// Where the server may listen: what --listen takes and refuses.
#include "server/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *comment, *address;
    enum nabla_code code;
    const char *part; // of the refusal
    bool is_remote;
} cases[] = {
    {"a free port of loopback", "127.0.0.1:0", NABLA_OK, "", false},
    {"any of its addresses", "127.1.2.3:0", NABLA_OK, "", false},
    {"no port", "127.0.0.1", NABLA_INVALID, "address:port", false},
    {"an empty port", "127.0.0.1:", NABLA_INVALID, "address:port", false},
    {"no address", ":8080", NABLA_INVALID, "address:port", false},
    {"a port by name", "127.0.0.1:http", NABLA_INVALID, "address:port", false},
    {"a negative port", "127.0.0.1:-1", NABLA_INVALID, "address:port", false},
    {"one port too many, which wraps to 0", "127.0.0.1:65536", NABLA_INVALID, "65535", false},
    {"the largest of five digits", "127.0.0.1:99999", NABLA_INVALID, "65535", false},
    {"an open bracket", "[::1:0", NABLA_INVALID, "address:port", false},
    {"every address", "0.0.0.0:0", NABLA_OK, "", true},
};

static void an_address_is_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct listener listener = {.fd = -1};
        struct nabla_error err = {0};
        print_message("%s\n", cases[i].comment);
        assert_int_equal(listener_tcp(cases[i].address, &listener, &err), cases[i].code);
        if (cases[i].code) {
            assert_non_null(strstr(err.text, cases[i].part));
            assert_int_equal(listener.fd, -1);
            continue;
        }
        assert_in_range(listener.port, 1, 65535);
        assert_int_equal(listener.is_loopback, !cases[i].is_remote);
        close(listener.fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_address_is_taken_or_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
