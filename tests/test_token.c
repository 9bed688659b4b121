#include "base/token.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void ids_have_their_prefix_and_alphabet(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"job", "ds", "", "eightchr"};
    for (size_t i = 0; i < 4; i++) {
        char id[TOKEN_ID_SIZE];
        size_t prefix = strlen(prefixes[i]);
        token_make_id(id, prefixes[i]);
        assert_int_equal(strlen(id), prefix + 21);
        assert_memory_equal(id, prefixes[i], prefix);
        assert_int_equal(id[prefix], '_');
        assert_int_equal(strspn(id + prefix + 1, "abcdefghijklmnopqrstuvwxyz0123456789"), 20);
    }
}

static void a_prefix_that_is_too_long_is_cut(void **state)
{
    (void)state;
    char id[TOKEN_ID_SIZE];
    token_make_id(id, "a_prefix_beyond_its_room");
    assert_int_equal(strlen(id), 29);
    assert_memory_equal(id, "a_prefix_", 9);
}

// 200 ids of 20 characters: each of the 36 comes up about 111 times.
static void ids_differ_and_use_the_whole_alphabet(void **state)
{
    (void)state;
    char ids[200][TOKEN_ID_SIZE];
    int counts[128] = {0};
    for (int i = 0; i < 200; i++) {
        token_make_id(ids[i], "x");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
        for (const char *c = ids[i] + 2; *c; c++)
            counts[(unsigned char)*c]++;
    }
    for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; c++)
        assert_in_range(counts[(unsigned char)*c], 40, 200);
}

static void secrets_are_43_characters_of_base64url(void **state)
{
    (void)state;
    char a[TOKEN_SECRET_SIZE], b[TOKEN_SECRET_SIZE];
    token_make_secret(a);
    token_make_secret(b);
    assert_int_equal(strlen(a), 43);
    for (const char *c = a; *c; c++)
        assert_true(isalnum((unsigned char)*c) || *c == '-' || *c == '_');
    assert_string_not_equal(a, b);
}

// FIPS 180-4's examples.
static const struct {
    const char *text, *hash;
} hashes[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void hashes_are_those_of_the_standard(void **state)
{
    (void)state;
    char hash[TOKEN_SHA256_SIZE];
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        token_sha256(hash, hashes[i].text, strlen(hashes[i].text));
        assert_string_equal(hash, hashes[i].hash);
    }
}

static void equality_is_equality(void **state)
{
    (void)state;
    assert_true(token_equal("", "") && token_equal("abc", "abc"));
    assert_false(token_equal("abc", "abd") || token_equal("abc", "ab") || token_equal("ab", "abc"));
    assert_false(token_equal("", "a") || token_equal("xbc", "abc") || token_equal("a\x80", "a\x81"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_their_prefix_and_alphabet),
        cmocka_unit_test(a_prefix_that_is_too_long_is_cut),
        cmocka_unit_test(ids_differ_and_use_the_whole_alphabet),
        cmocka_unit_test(secrets_are_43_characters_of_base64url),
        cmocka_unit_test(hashes_are_those_of_the_standard),
        cmocka_unit_test(equality_is_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
