// This program's own file, and the processor's kernels that BLAS must be told of before it is loaded.
#ifndef NABLA_SERVER_PROGRAM_H
#define NABLA_SERVER_PROGRAM_H

// A path that starts this program again; static. It does not depend on /proc, which a chroot may lack.
const char *program_path(void);

// Where BLAS does not know this processor, starts the program again with the environment that names its
// kernels; otherwise returns. `argv` are main's arguments.
void program_restart_for_blas(char **argv);

#endif
