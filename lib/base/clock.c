#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

int64_t clock_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t steady_from_ns; // written once

static void steady_begin(void)
{
    steady_from_ns = clock_ns(CLOCK_REALTIME) - clock_monotonic_ns();
}

int64_t clock_steady_ms(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, steady_begin);
    return (steady_from_ns + clock_monotonic_ns()) / 1000000;
}

char *clock_format(char text[CLOCK_TEXT_SIZE], int64_t wall_ms)
{
    int64_t milliseconds = (wall_ms % 1000 + 1000) % 1000; // before 1970 the remainder is negative
    time_t seconds = (time_t)((wall_ms - milliseconds) / 1000);
    struct tm utc;
    char date[24];
    if (!gmtime_r(&seconds, &utc) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        date[0] = '\0'; // a year of more digits than there is room for
    snprintf(text, CLOCK_TEXT_SIZE, "%s.%03dZ", date, (int)milliseconds);
    return text;
}
