// Readers of JSON by jansson's header, whose names are also those of base/json.h.
#ifndef NABLA_TESTS_JSON_READERS_H
#define NABLA_TESTS_JSON_READERS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

// The api's reader of documents, without bulk arrays.
enum nabla_code json_read_document(const char *text, size_t size, struct nabla_error *err);
// jansson alone, any value.
bool json_read_plain(const char *text, size_t size);

#endif
