#include "json_readers.h"

#include "api/document.h"

enum { DOCUMENT_LIMIT = 1 << 20 };

enum nabla_code json_read_document(const char *text, size_t size, struct nabla_error *err)
{
    json_t *root = NULL;
    enum nabla_code code = document_read(text, size, DOCUMENT_LIMIT, NULL, 0, &root, err);
    if (!code)
        json_decref(root);
    return code;
}

bool json_read_plain(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(root);
    return root != NULL;
}
