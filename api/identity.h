// Who a call comes from, and whether they may. Three kinds of bearers: anyone (routes that say so, and every
// route where the server asks for no tokens), a token of the data folder with its scopes and limits, and a
// job's own token, which allows what concerns that job.
#ifndef NABLA_API_IDENTITY_H
#define NABLA_API_IDENTITY_H

#include "api/handler.h"

// False: *ret is the refusal. 401 asks for a token or says that it is not known; 403 names the scope that is
// missing; 429: the token has as many requests running as it may.
bool identity_check(struct api_call *call, struct api_answer *ret);
// Whether the bearer is still that of the job's current attempt: NABLA_OK or NABLA_DENIED.
enum nabla_code identity_recheck(const struct api_call *call, struct nabla_error *err);
// Whether a token that was let in is still good, for what goes on: streams and waits. `owner` is
// identity_owner's, of which nobody's always stands. NABLA_OK, or NABLA_DENIED.
enum nabla_code identity_stands(const struct api *api, const char *owner, struct nabla_error *err);
// The same for a call that has waited. False: *ret is the refusal.
bool identity_still(struct api_call *call, struct api_answer *ret);
void identity_leave(struct api_call *call);

// A limit of the server, or what the caller's token lowers it to; 0 means that the token has none.
uint64_t identity_limit(uint64_t server, uint64_t token);

// Whose a new job or data set is; "" where nobody asks for tokens.
const char *identity_owner(const struct api_call *call);

#endif
