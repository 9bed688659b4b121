// By when something must be done, in seconds; a connection that is late is shut down.
#ifndef NABLA_SERVER_HTTP_DEADLINES_H
#define NABLA_SERVER_HTTP_DEADLINES_H

struct http_deadlines {
    unsigned head;       // a request's head is there
    unsigned idle;       // a connection has brought its next request
    unsigned body;       // until then a body may be slower than the least rate,
    unsigned answer;     // and whoever reads an answer
    unsigned least_rate; // bytes a second
};

extern const struct http_deadlines http_deadlines_standard;

#endif
