// The fields of a small JSON object, as the api answers them: no tree is built, each reader looks for its
// own. Thread safety: pure functions.
#ifndef NABLA_SERVER_MESSAGE_H
#define NABLA_SERVER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message {
    const char *text;
    size_t size;
};

// The raw text of a field of the outermost object. False: no such field, or the text is not JSON up to it.
bool message_field(struct message message, const char *name, struct message *ret);

// A text, resolved, into `ret`; false also when it is no text or has no room.
bool message_text(struct message message, const char *name, char *ret, size_t size);
bool message_whole(struct message message, const char *name, uint64_t *ret);

#endif
