// The verbs of the nabla program. Each takes its own arguments (argv[0] is the verb) and returns the exit
// status. Exit statuses: 0 done, 1 it failed, 2 it was called wrongly; verbs that have more say so.
#ifndef NABLA_SERVER_VERBS_H
#define NABLA_SERVER_VERBS_H

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int verb_serve(int argc, char **argv);
int verb_train(int argc, char **argv);
int verb_loss(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_backup(int argc, char **argv);
int verb_restore(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_health(int argc, char **argv);
int verb_token(int argc, char **argv);

#endif
