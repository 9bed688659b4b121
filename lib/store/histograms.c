#include "store/histograms.h"

#include "store/access.h"
#include "store/job_row.h"

#include <string.h>

size_t histogram_pack(const struct histogram *histogram, unsigned char ret[HISTOGRAM_BLOB_MAX])
{
    size_t first = 0, last = HISTOGRAM_BINS, size = 0;
    while (first < HISTOGRAM_BINS && histogram->counts[first] == 0)
        first++;
    if (first == HISTOGRAM_BINS)
        return 0;
    while (histogram->counts[last - 1] == 0)
        last--;
    ret[size++] = (unsigned char)first;
    for (size_t i = first; i < last; i++) {
        uint64_t count = histogram->counts[i];
        for (; count > 127; count >>= 7)
            ret[size++] = (unsigned char)(count | 128);
        ret[size++] = (unsigned char)count;
    }
    return size;
}

bool histogram_unpack(const unsigned char *bytes, size_t size, struct histogram *ret)
{
    uint64_t counts[HISTOGRAM_BINS] = {0};
    size_t bin = size > 0 ? bytes[0] : 0;
    unsigned shift = 0;
    for (size_t i = 1; i < size; i++) {
        if (bin >= HISTOGRAM_BINS || shift > 63 || (shift == 63 && (bytes[i] & 127) > 1))
            return false;
        counts[bin] |= (uint64_t)(bytes[i] & 127) << shift;
        shift = bytes[i] & 128 ? shift + 7 : 0;
        bin += !(bytes[i] & 128);
    }
    if (shift > 0 || size == 1)
        return false;
    memcpy(ret->counts, counts, sizeof counts);
    return true;
}

static unsigned place_of(unsigned layer, enum histogram_kind kind)
{
    return layer * HISTOGRAM_KIND_COUNT + (unsigned)kind;
}

enum nabla_code histogram_write(struct database *db, int64_t job, uint64_t revision,
                                const struct histogram_entry *entry, struct nabla_error *err)
{
    unsigned char blob[HISTOGRAM_BLOB_MAX];
    size_t size = histogram_pack(&entry->histogram, blob);
    struct statement *insert = database_statement(db, SQL_HISTOGRAM_UPSERT);
    statement_bind_int(insert, job);
    statement_bind_int(insert, place_of(entry->layer, entry->kind));
    statement_bind_size(insert, entry->step);
    statement_bind_size(insert, revision);
    statement_bind_size(insert, entry->histogram.nonfinite);
    statement_bind_bytes(insert, blob, size);
    return statement_run(insert, err);
}

// --- reading

typedef enum nabla_code histogram_visitor(void *context, const struct histogram_row *row);

static void bind_query(struct statement *rows, int64_t job, const struct histogram_query *query)
{
    unsigned most = query->has_layer ? query->layer : UINT16_MAX;
    statement_bind_int(rows, job);
    statement_bind_int(rows, place_of(query->has_layer ? query->layer : 0, 0));
    statement_bind_int(rows, place_of(most, HISTOGRAM_KIND_COUNT - 1));
    statement_bind_int(rows, query->kind);
    statement_bind_size(rows, query->since_step);
    statement_bind_size(rows, query->until_step);
    statement_bind_size(rows, query->limit);
    statement_bind_size(rows, query->after_revision);
    statement_bind_int(rows, query->after_place);
    statement_bind_size(rows, query->after_step);
}

static enum nabla_code visit_row(struct statement *rows, histogram_visitor *visit, void *context,
                                 struct nabla_error *err)
{
    struct histogram histogram = {.nonfinite = (uint64_t)statement_int(rows, 3)};
    unsigned place = (unsigned)statement_int(rows, 1);
    size_t size;
    const void *bytes = statement_bytes(rows, 4, &size);
    if (!histogram_unpack(bytes, size, &histogram))
        return nabla_fail(err, NABLA_IO, NULL, "the store holds a histogram that is none");
    const struct histogram_row row = {.revision = (uint64_t)statement_int(rows, 0),
                                      .layer = place / HISTOGRAM_KIND_COUNT,
                                      .kind = (enum histogram_kind)(place % HISTOGRAM_KIND_COUNT),
                                      .step = (uint64_t)statement_int(rows, 2),
                                      .histogram = &histogram};
    return visit(context, &row);
}

static enum nabla_code visit_rows(struct statement *rows, histogram_visitor *visit, void *context,
                                  struct nabla_error *err)
{
    enum nabla_code code;
    while ((code = statement_row(rows, err)) == NABLA_OK)
        if ((code = visit_row(rows, visit, context, err)) != NABLA_OK)
            break;
    statement_reset(rows);
    return code == NABLA_NOT_FOUND ? NABLA_OK : code;
}

static enum nabla_code read_snapshot(struct database *db, const char *job_id,
                                     const struct histogram_query *query, histogram_visitor *visit,
                                     void *context, uint64_t *ret_revision, struct nabla_error *err)
{
    struct job_stand stand;
    enum nabla_code code = statement_run(database_statement(db, SQL_SNAPSHOT), err);
    if (code == NABLA_OK)
        code = job_stand_read(db, job_id, &stand, err);
    if (code)
        return code;
    struct statement *rows = database_statement(db, SQL_HISTOGRAMS_AFTER);
    bind_query(rows, stand.number, query);
    code = visit_rows(rows, visit, context, err);
    if (code == NABLA_OK)
        *ret_revision = stand.revision;
    return code;
}

enum nabla_code store_histograms(struct store *store, const char *job_id, const struct histogram_query *query,
                                 histogram_visitor *visit, void *context, uint64_t *ret_revision,
                                 struct nabla_error *err)
{
    struct database *db = access_reader(store);
    enum nabla_code code = read_snapshot(db, job_id, query, visit, context, ret_revision, err);
    access_release(store, db);
    return code;
}
