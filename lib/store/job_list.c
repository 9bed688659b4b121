// Pages of the job list, newest first.
#include "store/access.h"
#include "store/job_row.h"

#include <stdio.h>
#include <stdlib.h>

static void free_jobs(struct job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        job_free(jobs[i]);
    free(jobs);
}

struct page {
    struct job **jobs;
    size_t count, limit;
    int64_t last; // the number of the last job
    bool more;
};

// One row beyond the limit tells that there is more.
static enum nabla_code read_page(const struct store *store, struct statement *row, struct page *page,
                                 struct nabla_error *err)
{
    enum nabla_code code;
    while ((code = statement_row(row, err)) == NABLA_OK) {
        if (page->count == page->limit) {
            page->more = true;
            return NABLA_OK;
        }
        struct job **grown = reallocarray(page->jobs, page->count + 1, sizeof(struct job *));
        if (!grown)
            return nabla_fail_memory(err, "a list of jobs");
        page->jobs = grown;
        code = job_row_read(store, row, &page->jobs[page->count], &page->last, err);
        if (code)
            return code;
        page->count++;
    }
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

enum nabla_code store_job_list(struct store *store, int state, const char *cursor, size_t limit,
                               struct job ***ret, size_t *ret_count, char ret_next[TOKEN_ID_SIZE],
                               struct nabla_error *err)
{
    int64_t before;
    struct page page = {.limit = limit};
    enum nabla_code code = access_read_cursor(cursor, &before, err);
    if (code)
        return code;
    struct database *db = access_reader(store);
    struct statement *row = database_statement(db, state < 0 ? SQL_JOBS_BEFORE : SQL_JOBS_OF_STATE_BEFORE);
    statement_bind_int(row, before);
    statement_bind_size(row, limit < SIZE_MAX ? limit + 1 : limit);
    if (state >= 0)
        statement_bind_text(row, job_state_name((enum job_state)state));
    code = read_page(store, row, &page, err);
    statement_reset(row);
    access_release(store, db);
    if (code) {
        free_jobs(page.jobs, page.count);
        return code;
    }
    *ret = page.jobs;
    *ret_count = page.count;
    ret_next[0] = '\0';
    if (page.more && page.count > 0)
        snprintf(ret_next, TOKEN_ID_SIZE, "%lld", (long long)page.last);
    return NABLA_OK;
}
