#include "server/program.h"

#include <sys/auxv.h>
#include <unistd.h>

const char *program_path(void)
{
    static const char self[] = "/proc/self/exe";
    return access(self, X_OK) == 0 ? self : (const char *)getauxval(AT_EXECFN);
}
