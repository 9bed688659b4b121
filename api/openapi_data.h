// The contract, api/openapi.yaml, as the JSON that the build made of it.
#ifndef NABLA_API_OPENAPI_DATA_H
#define NABLA_API_OPENAPI_DATA_H

#include <stddef.h>

extern const char openapi_json[];
size_t openapi_json_size(void);

#endif
