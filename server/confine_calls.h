// seccomp's part of confine.h: what the process may ask of the kernel.
#ifndef NABLA_SERVER_CONFINE_CALLS_H
#define NABLA_SERVER_CONFINE_CALLS_H

#include <stdbool.h>

bool confine_calls_exists(void); // on this kernel

// For the calling thread and all that it will start, for good. False where it does not exist.
bool confine_calls(void);

#endif
