// `nabla train --worker`: trains one job for a server. Its orders come as one line of JSON on standard input,
// which then stays open: when it ends, the server is gone.
#ifndef NABLA_SERVER_WORKER_H
#define NABLA_SERVER_WORKER_H

// The exit status when the attempt ended without a final state that the server took: it is made anew.
enum { EXIT_ATTEMPT_LOST = 75 };

int worker_main(void);

#endif
