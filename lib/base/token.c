#include "base/token.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { ID_CHARACTERS = 20, SECRET_BYTES = 32 };

// getrandom without flags fails only where the kernel has no random source at all: nothing here could go on.
static void random_bytes(void *bytes, size_t size)
{
    if (getrandom(bytes, size, 0) != (ssize_t)size)
        abort();
}

// One of 36 characters without bias: bytes from 252 on are drawn again.
static char random_character(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t byte;
    do
        random_bytes(&byte, 1);
    while (byte >= 252);
    return alphabet[byte % 36];
}

void token_make_id(char ret[TOKEN_ID_SIZE], const char *prefix)
{
    int length = snprintf(ret, TOKEN_ID_SIZE - ID_CHARACTERS - 1, "%.8s_", prefix);
    char *at = ret + length;
    for (int i = 0; i < ID_CHARACTERS; i++)
        *at++ = random_character();
    *at = '\0';
}

void token_make_secret(char ret[TOKEN_SECRET_SIZE])
{
    uint8_t bytes[SECRET_BYTES];
    char encoded[BASE64_ENCODE_RAW_LENGTH(SECRET_BYTES)];
    random_bytes(bytes, sizeof bytes);
    struct base64_encode_ctx encoder;
    base64url_encode_init(&encoder);
    size_t length = base64_encode_update(&encoder, encoded, sizeof bytes, bytes);
    length += base64_encode_final(&encoder, encoded + length);
    while (length > 0 && encoded[length - 1] == '=')
        length--;
    memcpy(ret, encoded, length);
    ret[length] = '\0';
}

struct token_sha256_run {
    struct sha256_ctx context;
};
_Static_assert(TOKEN_SHA256_BYTES == SHA256_DIGEST_SIZE, "the header's size is nettle's");

struct token_sha256_run *token_sha256_begin(void)
{
    struct token_sha256_run *run = malloc(sizeof *run);
    if (run)
        sha256_init(&run->context);
    return run;
}

void token_sha256_add(struct token_sha256_run *run, const void *bytes, size_t size)
{
    sha256_update(&run->context, size, bytes);
}

void token_sha256_end(struct token_sha256_run *run, unsigned char ret[TOKEN_SHA256_BYTES])
{
    if (run)
        sha256_digest(&run->context, TOKEN_SHA256_BYTES, ret);
    free(run);
}

void token_sha256(char ret[TOKEN_SHA256_SIZE], const void *bytes, size_t size)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, size};
    token_sha256_pieces(ret, &piece, 1);
}

void token_sha256_pieces(char ret[TOKEN_SHA256_SIZE], const struct iovec *pieces, size_t count)
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    for (size_t i = 0; i < count; i++)
        sha256_update(&context, pieces[i].iov_len, pieces[i].iov_base);
    sha256_digest(&context, sizeof digest, digest);
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[2 * sizeof digest] = '\0';
}

bool token_equal(const char *a, const char *b)
{
    size_t length = strlen(a);
    if (strlen(b) != length)
        return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}
