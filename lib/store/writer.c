#include "store/writer.h"

enum { MEMBERS_MOST = 32 }; // then they commit, whoever waits

// A write whose transaction has not ended: on its thread's stack.
struct writer_member {
    struct writer_member *next;
    bool is_told; // under end_lock
    enum nabla_code code;
    struct nabla_error err;
};

void writer_open(struct writer *writer)
{
    *writer = (struct writer){.db = NULL};
    pthread_mutex_init(&writer->lock, NULL);
    pthread_mutex_init(&writer->end_lock, NULL);
    pthread_cond_init(&writer->end, NULL);
}

void writer_close(struct writer *writer)
{
    database_close(writer->db);
    pthread_cond_destroy(&writer->end);
    pthread_mutex_destroy(&writer->end_lock);
    pthread_mutex_destroy(&writer->lock);
}

static void pause(const struct writer *writer, bool begins)
{
    if (writer->pause)
        writer->pause(begins);
}

// Who waits is counted until it has the lock: whoever leaves a transaction open for it can rely on it.
static void take_lock(struct writer *writer)
{
    if (pthread_mutex_trylock(&writer->lock) == 0)
        return;
    atomic_fetch_add(&writer->waiting, 1);
    pause(writer, true);
    pthread_mutex_lock(&writer->lock);
    pause(writer, false);
    atomic_fetch_sub(&writer->waiting, 1);
}

static void tell_members(struct writer *writer, enum nabla_code code, const struct nabla_error *err)
{
    pthread_mutex_lock(&writer->end_lock);
    for (struct writer_member *at = writer->members; at; at = at->next) {
        at->code = code;
        if (code)
            at->err = *err;
        at->is_told = true;
    }
    pthread_cond_broadcast(&writer->end);
    pthread_mutex_unlock(&writer->end_lock);
    writer->members = NULL;
    writer->member_count = 0;
    writer->is_open = false;
}

static void commit_group(struct writer *writer)
{
    struct nabla_error err = {0};
    enum nabla_code code = database_commit(writer->db, &err);
    tell_members(writer, code, &err);
}

// A disk that is full, or memory that cannot be had, takes the whole transaction with it.
static void lose_group(struct writer *writer, enum nabla_code cause)
{
    struct nabla_error err;
    enum nabla_code code = cause == NABLA_DISK_FULL || cause == NABLA_NO_MEMORY ? cause : NABLA_IO;
    nabla_fail(&err, code, NULL, "another write failed, and the commit that was shared with it: %s",
               nabla_code_name(code));
    database_rollback(writer->db);
    tell_members(writer, code, &err);
}

static enum nabla_code wait_for_end(struct writer *writer, const struct writer_member *member,
                                    struct nabla_error *err)
{
    pthread_mutex_lock(&writer->end_lock);
    if (!member->is_told) {
        pause(writer, true);
        while (!member->is_told)
            pthread_cond_wait(&writer->end, &writer->end_lock);
        pause(writer, false);
    }
    pthread_mutex_unlock(&writer->end_lock);
    if (member->code && err)
        *err = member->err;
    return member->code;
}

static enum nabla_code open_transaction(struct writer *writer, bool durable, struct nabla_error *err)
{
    enum nabla_code code = database_begin(writer->db, durable, err);
    writer->is_open = code == NABLA_OK;
    writer->is_durable = durable;
    return code;
}

enum nabla_code writer_begin(struct writer *writer, bool durable, struct database **ret,
                             struct nabla_error *err)
{
    take_lock(writer);
    if (writer->is_open && durable && !writer->is_durable)
        commit_group(writer); // which costs no sync
    enum nabla_code code =
        writer->is_open ? database_savepoint(writer->db, err) : open_transaction(writer, durable, err);
    if (code) {
        if (writer->is_open)
            commit_group(writer);
        pthread_mutex_unlock(&writer->lock);
        return code;
    }
    *ret = writer->db;
    return NABLA_OK;
}

// Ends the write's own part of the transaction: what was written before it stays, if SQLite left it.
static enum nabla_code end_part(struct writer *writer, enum nabla_code outcome, struct nabla_error *err)
{
    const bool is_alone = !writer->members;
    if (outcome == NABLA_OK && is_alone)
        return NABLA_OK;
    if (outcome == NABLA_OK)
        outcome = database_release(writer->db, err);
    if (outcome == NABLA_OK)
        return NABLA_OK;
    if (is_alone || !database_rollback_part(writer->db))
        lose_group(writer, outcome);
    return outcome;
}

enum nabla_code writer_end(struct writer *writer, enum nabla_code outcome, struct nabla_error *err)
{
    struct writer_member member = {.next = writer->members};
    outcome = end_part(writer, outcome, err);
    if (outcome == NABLA_OK) { // it leaves the list before this function ends
        // cppcheck-suppress autoVariables
        writer->members = &member;
        writer->member_count++;
    }
    const bool goes_on = atomic_load(&writer->waiting) > 0 && writer->member_count < MEMBERS_MOST;
    if (writer->is_open && !goes_on)
        commit_group(writer);
    pthread_mutex_unlock(&writer->lock);
    return outcome ? outcome : wait_for_end(writer, &member, err);
}

enum nabla_code writer_sync(struct writer *writer, struct nabla_error *err)
{
    take_lock(writer);
    if (writer->is_open)
        commit_group(writer);
    enum nabla_code code = database_sync(writer->db, err);
    pthread_mutex_unlock(&writer->lock);
    return code;
}
