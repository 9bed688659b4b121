// This program's own file, and how it starts again in the right environment.
#ifndef NABLA_SERVER_PROGRAM_H
#define NABLA_SERVER_PROGRAM_H

// A path that starts this program again; static. It does not depend on /proc, which a chroot may lack.
const char *program_path(void);

// BLAS reads its environment while it is loaded, before main: starts the program again with what it is to
// find there, unless that stands there already. It is told to start no threads (each would be a thread that
// takes signals which all of ours block) and, where it does not know this processor, which kernels to use.
// `argv` are main's arguments.
void program_restart_for_blas(char **argv);

#endif
