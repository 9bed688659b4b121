#include "server/request_id.h"

#include <stdbool.h>
#include <string.h>

// They stand in headers and logs: no quotes, no spaces.
static bool is_sound(const char *given)
{
    static const char marks[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+/=@";
    size_t length = strlen(given);
    return length > 0 && length < REQUEST_ID_SIZE && strspn(given, marks) == length;
}

// splitmix64: no two numbers give the same.
static uint64_t mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
    number = (number ^ number >> 27) * 0x94d049bb133111eb;
    return number ^ number >> 31;
}

void request_id_make(const char *given, uint64_t number, char ret[REQUEST_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    if (given && is_sound(given)) {
        memcpy(ret, given, strlen(given) + 1);
        return;
    }
    uint64_t mixed = mix(number);
    for (int i = 15; i >= 0; i--, mixed >>= 4)
        ret[i] = digits[mixed & 15];
    ret[16] = '\0';
}
