// What the files of an exchange share: http_exchange.c walks through its phases, http_waiting.c has it wait
// for jobs and for a place among those who wait, http_answer.c sends its answer and notes it. Within these
// only.
#ifndef NABLA_SERVER_HTTP_EXCHANGE_PARTS_H
#define NABLA_SERVER_HTTP_EXCHANGE_PARTS_H

#include "server/http_exchange.h"
#include "server/request_id.h"

enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_DRAIN, PHASE_RUN, PHASE_ANSWER, PHASE_SENT };

struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    struct http_socket *socket;
    char *target;
    const char *target_place; // in the library's memory, while the head is read
    char method[24];
    enum phase phase;
    struct api_call *call;
    struct api_answer answer;
    bool must_close;     // the connection ends with the answer
    bool is_streaming;   // counted among the http's streams
    bool is_waiting;     // counted among the http's waits
    bool is_seeking;     // counted among the http's seekers
    bool is_cut;         // nobody may wait any more
    bool is_done;        // it ran to an answer, which nobody has noted yet
    int64_t body_due_ns; // when the body is too slow
    uint64_t drained;    // bytes of it that came after it was refused
    int64_t opened_ms, opened_ns;
    char request_id[REQUEST_ID_SIZE];
    bool was_named;       // by the client
    bool has_waited;      // for a job: the time says nothing
    int64_t place_due_ms; // while it is seeking: when it is refused
    struct api_seen seen;
    struct waiter waiter;
};

// Of the server that it came in by.
const struct http_deadlines *exchange_deadlines(const struct exchange *exchange);
void exchange_set_deadline(struct exchange *exchange, int64_t deadline_ms);
// `seconds` from a moment on, and what `bytes` take at the least rate.
int64_t exchange_due(const struct exchange *exchange, int64_t from_ms, unsigned seconds, uint64_t bytes);

// Nobody may wait any more: the server is stopping, or has cut this one off.
bool exchange_is_over(const struct exchange *exchange);
// Makes the answer a refusal of the server itself.
void exchange_refuse(struct exchange *exchange, int status, const char *title, const char *detail);
void exchange_refuse_stopping(struct exchange *exchange);

// Waits for what the answer waits for, or for a place if it needs one; else sends it.
enum MHD_Result exchange_give_answer(struct exchange *exchange);
void exchange_leave_place(struct exchange *exchange);
// The library's reader of a streamed answer.
ssize_t exchange_stream_read(void *context, uint64_t position, char *bytes, size_t size);

enum MHD_Result exchange_send_answer(struct exchange *exchange);
// Counts, logs and audits the answer; what send_answer does, too.
void exchange_note(struct exchange *exchange, int64_t now_ns);

#endif
