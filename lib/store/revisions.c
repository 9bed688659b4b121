#include "store/revisions.h"

#include <stdio.h>
#include <string.h>

void revisions_open(struct revisions *revisions)
{
    pthread_mutex_init(&revisions->lock, NULL);
}

void revisions_close(struct revisions *revisions)
{
    pthread_mutex_destroy(&revisions->lock);
}

// FNV-1a: ids are random already.
static size_t place_of(const char *id)
{
    uint32_t hash = 2166136261;
    for (const char *c = id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    return hash % REVISION_PLACES;
}

bool revisions_find(struct revisions *revisions, const char *id, uint64_t *ret, uint64_t *ret_changes)
{
    size_t place = place_of(id);
    pthread_mutex_lock(&revisions->lock);
    bool known = *id && strcmp(revisions->places[place].id, id) == 0;
    if (known)
        *ret = revisions->places[place].revision;
    *ret_changes = revisions->changes;
    pthread_mutex_unlock(&revisions->lock);
    return known;
}

void revisions_keep(struct revisions *revisions, const char *id, uint64_t revision, uint64_t changes)
{
    size_t place = place_of(id);
    pthread_mutex_lock(&revisions->lock);
    if (revisions->changes == changes && strlen(id) < TOKEN_ID_SIZE) {
        snprintf(revisions->places[place].id, TOKEN_ID_SIZE, "%s", id);
        revisions->places[place].revision = revision;
    }
    pthread_mutex_unlock(&revisions->lock);
}

void revisions_raise(struct revisions *revisions, const char *id, uint64_t revision)
{
    size_t place = place_of(id);
    pthread_mutex_lock(&revisions->lock);
    revisions->changes++;
    if (strcmp(revisions->places[place].id, id) == 0 && revisions->places[place].revision < revision)
        revisions->places[place].revision = revision;
    pthread_mutex_unlock(&revisions->lock);
}
