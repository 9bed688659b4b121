#include "server/program.h"

#include "math/matrix.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

const char *program_path(void)
{
    static const char self[] = "/proc/self/exe";
    return access(self, X_OK) == 0 ? self : (const char *)getauxval(AT_EXECFN);
}

void program_restart_for_blas(char **argv)
{
    const char *wanted = matrix_core_type_wanted();
    if (wanted && setenv("OPENBLAS_CORETYPE", wanted, 0) == 0)
        execv(program_path(), argv); // where that fails, training is slower and nothing else
}
