// Time: a wall clock for what people read, a monotonic one for durations and deadlines, the CPU for work
// done. Thread safety: any thread.
#ifndef NABLA_BASE_CLOCK_H
#define NABLA_BASE_CLOCK_H

#include <stdint.h>

enum { CLOCK_TEXT_SIZE = 32 };

int64_t clock_wall_ms(void);      // milliseconds since 1970-01-01 UTC
int64_t clock_monotonic_ms(void); // milliseconds since some fixed moment; never goes back
int64_t clock_monotonic_ns(void);

// The wall clock as it stood when the process first asked for it, moved on by the monotonic one: for
// durations whose beginning is stored. No setting of the clock shows in it before the next process.
int64_t clock_steady_ms(void);

// RFC 3339 in UTC with milliseconds: "2026-01-31T23:59:59.123Z". Returns `text`.
char *clock_format(char text[CLOCK_TEXT_SIZE], int64_t wall_ms);

#endif
