// This program's own file.
#ifndef NABLA_SERVER_PROGRAM_H
#define NABLA_SERVER_PROGRAM_H

// A path that starts this program again; static. It does not depend on /proc, which a chroot may lack.
const char *program_path(void);

#endif
