// From the end of the file backwards: its last record says where the central directory is, whose records say
// where the entries are. Every place is held against the bytes before it is looked at; fields are read byte
// by byte, for nothing in the format is aligned.
#include "data/zip.h"

#include "base/gzip.h"
#include "base/size.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    RECORD_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 0xFFFF,
    EXTRA_ZIP64 = 1,
    FLAG_ENCRYPTED = 1,
    FLAG_SIZES_FOLLOW = 8,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    RATIO_MOST = 1032, // deflate packs no more than that into a byte
};
static const uint32_t in_extra = 0xFFFFFFFF; // the number stands in the ZIP64 field

struct archive {
    const unsigned char *bytes;
    size_t size;
    uint64_t directory, directory_end; // where it lies
    uint64_t count;
    struct nabla_error *err;
};

static uint64_t little_endian(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static uint16_t u16(const unsigned char *at)
{
    return (uint16_t)little_endian(at, 2);
}

static uint32_t u32(const unsigned char *at)
{
    return (uint32_t)little_endian(at, 4);
}

static uint64_t u64(const unsigned char *at)
{
    return little_endian(at, 8);
}

static bool is_record(const unsigned char *at, const char *mark)
{
    return memcmp(at, mark, 4) == 0;
}

static enum nabla_code malformed(const struct archive *archive, const char *what)
{
    return nabla_fail(archive->err, NABLA_MALFORMED, NULL, "zip: %s", what);
}

static enum nabla_code bad_entry(struct nabla_error *err, const char *name, const char *what)
{
    char shown[UTF8_EXCERPT_SIZE];
    return nabla_fail(err, NABLA_MALFORMED, NULL, "zip: the entry \"%s\" %s",
                      utf8_excerpt(shown, name, strlen(name)), what);
}

// ---- the end of the file ----

// The record that closes the file, with a comment behind it that reaches its end. NULL: there is none.
static const unsigned char *find_end(const struct archive *archive)
{
    if (archive->size < END_SIZE)
        return NULL;
    size_t most = archive->size - END_SIZE;
    if (most > COMMENT_MAX)
        most = COMMENT_MAX;
    for (size_t comment = 0; comment <= most; comment++) {
        const unsigned char *at = archive->bytes + archive->size - END_SIZE - comment;
        if (is_record(at, "PK\5\6") && u16(at + 20) == comment)
            return at;
    }
    return NULL;
}

// The ZIP64 record, which an own record right before the end points at.
static enum nabla_code read_end64(struct archive *archive, const unsigned char *end, uint64_t *ret_size,
                                  bool *ret_found)
{
    const size_t before = (size_t)(end - archive->bytes);
    *ret_found = before >= LOCATOR_SIZE && is_record(end - LOCATOR_SIZE, "PK\6\7");
    if (!*ret_found)
        return NABLA_OK;
    const uint64_t place = u64(end - LOCATOR_SIZE + 8), last = before - LOCATOR_SIZE;
    if (last < END64_SIZE || place > last - END64_SIZE || !is_record(archive->bytes + place, "PK\6\6"))
        return malformed(archive, "the record of the ZIP64 directory is not where the file says");
    const unsigned char *at = archive->bytes + place;
    if (u32(at + 16) != 0 || u32(at + 20) != 0)
        return malformed(archive, "it is one of several disks");
    archive->count = u64(at + 32);
    *ret_size = u64(at + 40);
    archive->directory = u64(at + 48);
    archive->directory_end = place;
    return NABLA_OK;
}

static enum nabla_code find_directory(struct archive *archive)
{
    const unsigned char *end = find_end(archive);
    bool wide;
    uint64_t size = 0;
    if (!end)
        return malformed(archive,
                         "the file does not end in a central directory: it is no archive, or cut off");
    enum nabla_code code = read_end64(archive, end, &size, &wide);
    if (code)
        return code;
    if (!wide) {
        if (u16(end + 4) != 0 || u16(end + 6) != 0)
            return malformed(archive, "it is one of several disks");
        archive->count = u16(end + 10);
        size = u32(end + 12);
        archive->directory = u32(end + 16);
        archive->directory_end = (uint64_t)(end - archive->bytes);
    }
    if (archive->directory > archive->directory_end || size != archive->directory_end - archive->directory)
        return malformed(archive, "the central directory is not where the file says");
    if (archive->count > ZIP_ENTRIES_MAX)
        return nabla_fail(archive->err, NABLA_LIMIT, NULL, "zip: the archive has more than %d entries",
                          ZIP_ENTRIES_MAX);
    return NABLA_OK;
}

// ---- entries ----

// What of size, packed and begin did not fit stands in the ZIP64 field of [at, at+size), in this order.
static bool read_extra(const unsigned char *at, size_t size, struct zip_entry *entry)
{
    uint64_t *const numbers[] = {&entry->size, &entry->packed, &entry->begin};
    while (size >= 4 && (u16(at) != EXTRA_ZIP64 || (size_t)u16(at + 2) + 4 > size)) {
        const size_t whole = (size_t)u16(at + 2) + 4;
        if (whole > size)
            break;
        at += whole;
        size -= whole;
    }
    const bool found = size >= 4 && u16(at) == EXTRA_ZIP64 && (size_t)u16(at + 2) + 4 <= size;
    size_t left = found ? u16(at + 2) : 0;
    at += 4;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (*numbers[i] != in_extra)
            continue;
        if (left < 8)
            return false;
        *numbers[i] = u64(at);
        at += 8;
        left -= 8;
    }
    return true;
}

static enum nabla_code read_name(const struct archive *archive, const unsigned char *at, size_t size,
                                 struct zip_entry *entry)
{
    if (size == 0 || memchr(at, 0, size))
        return malformed(archive, "an entry's name is empty or holds a NUL character");
    entry->name = strndup((const char *)at, size);
    return entry->name ? NABLA_OK : nabla_fail_memory(archive->err, "an archive's entries");
}

static enum nabla_code check_entry(const struct archive *archive, const struct zip_entry *entry)
{
    if (entry->flags & FLAG_ENCRYPTED)
        return bad_entry(archive->err, entry->name, "is encrypted");
    if (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED)
        return bad_entry(archive->err, entry->name, "is neither stored nor deflated");
    if (entry->method == METHOD_STORED && entry->size != entry->packed)
        return bad_entry(archive->err, entry->name, "is stored, but with two different sizes");
    if (entry->size / RATIO_MOST > entry->packed)
        return bad_entry(archive->err, entry->name, "claims more bytes than its own could hold");
    return NABLA_OK;
}

// One record of the directory; *at is behind it afterwards.
static enum nabla_code read_record(const struct archive *archive, uint64_t *at, struct zip_entry *ret)
{
    const uint64_t left = archive->directory_end - *at;
    const unsigned char *record = archive->bytes + *at;
    if (left < RECORD_SIZE || !is_record(record, "PK\1\2"))
        return malformed(archive, "the central directory has fewer entries than it says");
    const size_t name = u16(record + 28), extra = u16(record + 30), comment = u16(record + 32);
    if (left - RECORD_SIZE < name + extra + comment)
        return malformed(archive, "the central directory ends within an entry");
    *ret = (struct zip_entry){.flags = u16(record + 8),
                              .method = u16(record + 10),
                              .crc = u32(record + 16),
                              .packed = u32(record + 20),
                              .size = u32(record + 24),
                              .begin = u32(record + 42)};
    enum nabla_code code = read_name(archive, record + RECORD_SIZE, name, ret);
    if (code)
        return code;
    if (!read_extra(record + RECORD_SIZE + name, extra, ret))
        return bad_entry(archive->err, ret->name, "lacks the ZIP64 field that its sizes refer to");
    *at += RECORD_SIZE + name + extra + comment;
    return check_entry(archive, ret);
}

// A local header repeats what the directory says; where the sizes follow the content they are 0, where they
// are wide they stand in its own ZIP64 field.
static bool local_agrees(const unsigned char *local, const struct zip_entry *entry)
{
    const bool wide = u32(local + 18) == in_extra || u32(local + 22) == in_extra;
    if (u16(local + 8) != entry->method || (u16(local + 6) & FLAG_ENCRYPTED))
        return false;
    if (u16(local + 6) & FLAG_SIZES_FOLLOW)
        return true;
    return u32(local + 14) == entry->crc &&
           (wide || (u32(local + 18) == entry->packed && u32(local + 22) == entry->size));
}

static enum nabla_code find_content(const struct archive *archive, struct zip_entry *entry)
{
    const size_t name = strlen(entry->name);
    const bool is_inside =
        archive->directory >= LOCAL_SIZE && entry->begin <= archive->directory - LOCAL_SIZE;
    const unsigned char *local = is_inside ? archive->bytes + entry->begin : NULL; // no pointer past its end
    if (!local || !is_record(local, "PK\3\4"))
        return bad_entry(archive->err, entry->name, "is not where the central directory says");
    const uint64_t left = archive->directory - entry->begin - LOCAL_SIZE;
    const size_t before = (size_t)u16(local + 26) + u16(local + 28);
    if (before > left || entry->packed > left - before)
        return bad_entry(archive->err, entry->name, "reaches beyond the archive's content");
    if (u16(local + 26) != name || memcmp(local + LOCAL_SIZE, entry->name, name) != 0 ||
        !local_agrees(local, entry))
        return bad_entry(archive->err, entry->name,
                         "has a header that says something else than the directory");
    entry->data = local + LOCAL_SIZE + before;
    entry->end = entry->begin + LOCAL_SIZE + before + entry->packed;
    return NABLA_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static enum nabla_code refuse_overlaps(const struct archive *archive, struct zip *zip)
{
    if (zip->count > 0)
        qsort(zip->entries, zip->count, sizeof *zip->entries, compare_places);
    for (size_t i = 1; i < zip->count; i++)
        if (zip->entries[i].begin < zip->entries[i - 1].end)
            return bad_entry(archive->err, zip->entries[i].name, "overlaps another one");
    return NABLA_OK;
}

static enum nabla_code read_entries(const struct archive *archive, struct zip *zip)
{
    uint64_t at = archive->directory;
    enum nabla_code code = NABLA_OK;
    zip->entries = size_alloc((size_t)archive->count + 1, 1, sizeof *zip->entries);
    if (!zip->entries)
        return nabla_fail_memory(archive->err, "an archive's entries");
    while (!code && zip->count < archive->count) {
        struct zip_entry *entry = &zip->entries[zip->count++];
        code = read_record(archive, &at, entry);
        if (!code)
            code = find_content(archive, entry);
    }
    if (!code && at != archive->directory_end)
        code = malformed(archive, "the central directory has more entries than it says");
    return code ? code : refuse_overlaps(archive, zip);
}

enum nabla_code zip_read(const void *bytes, size_t size, struct zip *ret, struct nabla_error *err)
{
    struct archive archive = {.bytes = bytes, .size = size, .err = err};
    struct zip zip = {0};
    enum nabla_code code = find_directory(&archive);
    if (!code)
        code = read_entries(&archive, &zip);
    if (code)
        zip_free(&zip);
    else
        *ret = zip;
    return code;
}

void zip_free(struct zip *zip)
{
    if (!zip)
        return;
    for (size_t i = 0; i < zip->count; i++)
        free(zip->entries[i].name);
    free(zip->entries);
    *zip = (struct zip){0};
}

// ---- content ----

static enum nabla_code inflate_entry(const struct zip_entry *entry, struct buffer *room,
                                     struct nabla_error *err)
{
    struct nabla_error why;
    *room = buffer_new((size_t)entry->size);
    enum nabla_code code = inflate_whole(INFLATE_BARE, entry->data, (size_t)entry->packed, room, &why);
    if (code == NABLA_LIMIT || (!code && room->size != entry->size))
        return bad_entry(err, entry->name, "has another size than the directory says");
    return code == NABLA_MALFORMED ? bad_entry(err, entry->name, "cannot be decompressed")
           : code                  ? nabla_fail(err, code, NULL, "%s", why.text)
                                   : NABLA_OK;
}

enum nabla_code zip_content(const struct zip_entry *entry, size_t most, struct buffer *room,
                            const void **ret_bytes, struct nabla_error *err)
{
    char shown[UTF8_EXCERPT_SIZE];
    enum nabla_code code = NABLA_OK;
    if (entry->size > most)
        return nabla_fail(err, NABLA_LIMIT, NULL, "zip: the entry \"%s\" has %zu bytes, more than %zu",
                          utf8_excerpt(shown, entry->name, strlen(entry->name)), (size_t)entry->size, most);
    if (entry->method == METHOD_DEFLATED)
        code = inflate_entry(entry, room, err);
    if (code)
        return code;
    const void *bytes = entry->method == METHOD_DEFLATED ? (const void *)room->data : entry->data;
    if (gzip_crc32(bytes, (size_t)entry->size) != entry->crc)
        return bad_entry(err, entry->name, "does not match its checksum");
    *ret_bytes = bytes;
    return NABLA_OK;
}
