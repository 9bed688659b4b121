// How good a network's answers are, as the JSON that stands in a job's result.
#ifndef NABLA_SERVER_REPORT_ENCODE_H
#define NABLA_SERVER_REPORT_ENCODE_H

#include "base/buffer.h"
#include "train/report.h"

// Tables by class end where they would fill a result: beyond that many classes or outputs they are left out.
enum { REPORT_CLASSES_MOST = 100, REPORT_CONFUSION_MOST = 50 };

// An object; what is not defined is null. "null" for no report.
void report_encode(const struct report *report, struct buffer *ret);

#endif
