// OPENAPI_JSON, from the Makefile, is the path of the file that becomes part of the program.
#include "api/openapi_data.h"

__asm__(".section .rodata\n"
        ".global openapi_json\n"
        ".hidden openapi_json\n"
        ".balign 8\n"
        "openapi_json:\n"
        ".incbin \"" OPENAPI_JSON "\"\n"
        ".global openapi_json_end\n"
        ".hidden openapi_json_end\n"
        "openapi_json_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char openapi_json_end[];

size_t openapi_json_size(void)
{
    // cppcheck-suppress comparePointers // two ends of one text, which the assembler laid out
    return (size_t)(openapi_json_end - openapi_json);
}
