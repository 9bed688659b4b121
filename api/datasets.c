// Data sets: upload in five shapes, list, describe, download, delete.
#include "api/dataset_decode.h"
#include "api/datasets_keep.h"
#include "api/handlers.h"
#include "api/identity.h"
#include "api/quota.h"
#include "api/repeat.h"
#include "data/array_dataset.h"
#include "data/csv.h"
#include "data/impute.h"
#include "data/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_DEFAULT = 20, LIST_MAX = 100 };

// An upload on its way.
struct upload {
    const struct api_call *call;
    struct dataset_limits limits;
    struct mapped file; // the body, where it came as one
    const char *bytes;
    size_t size;
    char name[NAME_MAX_BYTES + 1];
    struct csv_roles roles; // of CSV
    struct dataset *dataset;
    struct repeat repeat;
};

static bool name_set(struct upload *upload, const char *name)
{
    if (strlen(name) > NAME_MAX_BYTES)
        return false;
    snprintf(upload->name, sizeof upload->name, "%s", name);
    return true;
}

static void document_decode(const json_t *root, struct bulk *bulks, struct upload *upload,
                            struct problems *problems)
{
    struct dataset_source source = {0};
    struct nabla_error err = {0};
    struct fields fields = fields_begin(root, "", problems);
    if (fields_has(&fields, "name") && !name_set(upload, fields_text(&fields, "name", "")))
        fields_problem(&fields, "name", "is longer than %d bytes", NAME_MAX_BYTES);
    dataset_source_decode(&fields, bulks, &upload->limits, &source);
    fields_end(&fields);
    if (problems->count == 0 && dataset_source_make(&source, &upload->limits, &upload->dataset, &err))
        problems_add_error(problems, err.pointer, &err);
    dataset_source_free(&source);
}

static bool read_document(struct upload *upload, struct api_answer *ret)
{
    struct bulk bulks[DATASET_BULKS] = {[DATASET_FEATURES] = {.pointer = "/features"},
                                        [DATASET_LABELS] = {.pointer = "/labels"},
                                        [DATASET_WEIGHTS] = {.pointer = "/sample_weights"}};
    struct problems problems = {0};
    struct nabla_error err = {0};
    json_t *root;
    if (document_read(upload->bytes, upload->size, upload->call->api->options.limits.document_bytes, bulks,
                      DATASET_BULKS, &root, &err)) {
        answer_error(ret, upload->call, &err);
        return false;
    }
    document_decode(root, bulks, upload, &problems);
    json_decref(root);
    bulk_free(bulks, DATASET_BULKS);
    if (problems.count > 0)
        answer_problems(ret, upload->call, &problems);
    return problems.count == 0;
}

static bool read_file(struct upload *upload, struct api_answer *ret)
{
    struct nabla_error err = {0};
    enum nabla_code code;
    if (upload->call->content == MEDIA_CSV)
        code = csv_read(upload->bytes, upload->size, &upload->roles, &upload->limits, &upload->dataset, &err);
    else if (upload->call->content == MEDIA_ZIP || upload->call->content == MEDIA_NPZ)
        code = dataset_from_archive(upload->bytes, upload->size, &upload->limits, &upload->dataset, &err);
    else if (upload->file.bytes)
        code = safetensors_map_dataset(&upload->file, &upload->limits, &upload->dataset, &err);
    else
        code = safetensors_read_dataset(upload->bytes, upload->size, &upload->limits, &upload->dataset, &err);
    if (!code && !upload->roles.keep_missing)
        code = dataset_refuse_missing(upload->dataset, &err);
    if (code)
        answer_error(ret, upload->call, &err);
    return code == NABLA_OK;
}

static bool read_roles(struct upload *upload, struct api_answer *ret)
{
    const struct api_call *call = upload->call;
    static const char *const names[] = {"label", "labels", "task", "weight", "categorical"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (call_query(call, names[i]) && call->content != MEDIA_CSV) {
            answer_status(ret, call, 400, "%s is about the columns of a CSV file; other formats have none",
                          names[i]);
            return false;
        }
    const char *task = call_query(call, "task"), *categorical = call_query(call, "categorical");
    const char *missing = call_query(call, "missing");
    const int found = task ? csv_task_find(task) : CSV_AUTOMATIC;
    upload->roles = (struct csv_roles){.label = call_query(call, "label"),
                                       .labels = call_query(call, "labels"),
                                       .weight = call_query(call, "weight"),
                                       .task = (enum csv_task)found,
                                       .one_hot = categorical && strcmp(categorical, "one_hot") == 0,
                                       .keep_missing = missing && strcmp(missing, "keep") == 0};
    if (found < 0)
        answer_status(ret, call, 400, "task is automatic, classification, multi_label or regression");
    else if (missing && !upload->roles.keep_missing)
        answer_status(ret, call, 400, "missing is keep, or left out");
    else if (categorical && !upload->roles.one_hot)
        answer_status(ret, call, 400, "categorical is one_hot, or left out");
    else if (upload->roles.label && upload->roles.labels)
        answer_status(ret, call, 400, "label names one column, labels several: give one of them");
    else
        return true;
    return false;
}

static bool read_query(struct upload *upload, struct api_answer *ret)
{
    const char *name = call_query(upload->call, "name");
    if (name && !name_set(upload, name)) {
        answer_status(ret, upload->call, 400, "name is longer than %d bytes", NAME_MAX_BYTES);
        return false;
    }
    return read_roles(upload, ret);
}

static void answer_dataset(const struct api_call *call, const char *id, int status, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct dataset_row *row;
    if (store_dataset_get(call->api->options.store, id, &row, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, status, "application/json");
    if (status == 201)
        answer_header(ret, "Location", "/v1/datasets/%s", row->id);
    dataset_encode(row, true, &ret->body);
    dataset_row_free(row);
}

static void answer_creation(const struct api_call *call, const struct creation *made, struct api_answer *ret)
{
    answer_dataset(call, made->id, made->existed ? 200 : 201, ret);
}

static void upload_keep(const struct upload *upload, struct api_answer *ret)
{
    struct creation made;
    struct nabla_error err = {0};
    if (!quota_disk(upload->call, upload->dataset, ret))
        return;
    const struct dataset_owner owner = quota_owner(upload->call);
    enum nabla_code code = dataset_keep(upload->call->api->options.store, upload->dataset, upload->name,
                                        &owner, &upload->repeat.key, &made, &err);
    if ((code == NABLA_LIMIT || code == NABLA_DISK_FULL) && !quota_disk(upload->call, upload->dataset, ret))
        return; // others were quicker since it was looked
    if (code)
        answer_error(ret, upload->call, &err);
    else
        answer_creation(upload->call, &made, ret);
}

static void upload_take(struct upload *upload, struct api_answer *ret)
{
    const struct api_call *call = upload->call;
    if (upload->size == 0) {
        answer_status(ret, call, 400, "the body is empty");
        return;
    }
    if (!repeat_begin(call, KEY_DATASETS, upload->bytes, upload->size, &upload->repeat, ret))
        return;
    if (upload->repeat.known)
        answer_creation(call, &upload->repeat.made, ret);
    else if (call->content == MEDIA_JSON ? read_document(upload, ret) : read_file(upload, ret))
        upload_keep(upload, ret);
}

void handle_datasets_create(struct api_call *call, struct api_answer *ret)
{
    struct upload upload = {.call = call, .limits = quota_dataset(call)};
    struct nabla_error err = {0};
    if (!read_query(&upload, ret))
        return;
    if (call->body_path && mapped_open(call->body_fd, &upload.file, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    upload.bytes = call->body_path ? upload.file.bytes : call->body.data;
    upload.size = call->body_path ? upload.file.size : call->body.size;
    upload_take(&upload, ret);
    dataset_free(upload.dataset);
    mapped_close(&upload.file); // unless the data set has it
}

void handle_datasets_list(struct api_call *call, struct api_answer *ret)
{
    const char *cursor = call_query(call, "cursor");
    char next[TOKEN_ID_SIZE];
    struct nabla_error err = {0};
    struct dataset_row **rows;
    uint64_t limit;
    size_t count;
    if (!call_query_whole(call, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit, ret))
        return;
    if (store_dataset_list(call->api->options.store, cursor ? cursor : "", (size_t)limit, &rows, &count, next,
                           &err)) {
        answer_error(ret, call, &err);
        return;
    }
    answer_begin(ret, 200, "application/json");
    buffer_text(&ret->body, "{\"datasets\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_text(&ret->body, i ? "," : "");
        dataset_encode(rows[i], false, &ret->body);
        dataset_row_free(rows[i]);
    }
    free(rows);
    if (next[0]) {
        answer_header(ret, "Link", "</v1/datasets?limit=%u&cursor=%s>; rel=\"next\"", (unsigned)limit, next);
        buffer_format(&ret->body, "],\"next\":\"%s\"}", next);
    } else {
        buffer_text(&ret->body, "],\"next\":null}");
    }
}

void handle_datasets_get(struct api_call *call, struct api_answer *ret)
{
    answer_dataset(call, call->params[0], 200, ret);
}

static void answer_file(const struct api_call *call, const struct dataset_row *row, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct stat status;
    char *path = store_dataset_path(call->api->options.store, row->sha256);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &status) != 0) {
        nabla_fail_errno(&err, "open the file of", row->id);
        answer_error(ret, call, &err);
        if (fd >= 0)
            close(fd);
    } else {
        answer_begin(ret, 200, media_name(MEDIA_SAFETENSORS));
        answer_header(ret, "ETag", "\"%s\"", row->sha256);
        answer_header(ret, "Content-Disposition", "attachment; filename=\"%s.safetensors\"", row->id);
        ret->kind = API_FILE;
        ret->fd = fd;
        ret->size = (uint64_t)status.st_size;
    }
    free(path);
}

static void answer_csv(const struct api_call *call, const struct dataset_row *row, struct api_answer *ret)
{
    struct dataset_limits limits = dataset_limits_of(&call->api->options.limits);
    struct buffer text = buffer_new(SIZE_MAX - 1);
    struct nabla_error err = {0};
    struct dataset *dataset = NULL;
    if (dataset_load(call->api->options.store, row->id, &limits, &dataset, &err) ||
        csv_write(dataset, &text, &err)) {
        answer_error(ret, call, &err);
        buffer_free(&text);
    } else {
        answer_begin(ret, 200, media_name(MEDIA_CSV));
        answer_header(ret, "Content-Disposition", "attachment; filename=\"%s.csv\"", row->id);
        ret->body = text;
    }
    dataset_free(dataset);
}

// CSV is for those who ask for it by name; whoever takes anything gets the file as it is.
static bool wants_csv(const struct api_call *call)
{
    const char *accept = call_header(call, "Accept");
    return call->accept == MEDIA_CSV && accept && strcasestr(accept, "text/");
}

void handle_datasets_data(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    struct dataset_row *row;
    if (store_dataset_get(call->api->options.store, call->params[0], &row, &err)) {
        answer_error(ret, call, &err);
        return;
    }
    if (wants_csv(call))
        answer_csv(call, row, ret);
    else
        answer_file(call, row, ret);
    dataset_row_free(row);
}

void handle_datasets_delete(struct api_call *call, struct api_answer *ret)
{
    struct nabla_error err = {0};
    if (store_dataset_delete(call->api->options.store, call->params[0], &err))
        answer_error(ret, call, &err);
    else
        answer_begin(ret, 204, NULL);
}
