#include "server/program.h"

#include "math/matrix.h"

#include <stdbool.h>
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
    bool is_told = getenv("OPENBLAS_NUM_THREADS") != NULL;
    if (is_told && !wanted)
        return;
    bool is_set = setenv("OPENBLAS_NUM_THREADS", "1", 0) == 0 &&
                  (!wanted || setenv("OPENBLAS_CORETYPE", wanted, 0) == 0);
    if (is_set)
        execv(program_path(), argv); // where that fails, all works, less well
}
