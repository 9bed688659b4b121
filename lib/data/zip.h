// ZIP archives, as NumPy's savez and savez_compressed and the zip program write them: stored or deflated
// entries, ZIP64 where sizes need it. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
//
// The central directory at the end of the file is authoritative. Refused, by the entry's name: encryption,
// other methods, more than one disk, a local header that says something else than the directory, entries that
// overlap one another or the directory, names with a NUL. An entry's content is decompressed only when it is
// asked for, never beyond what the directory says and the caller allows, and held against its checksum.
// Errors: NABLA_MALFORMED, NABLA_LIMIT. Ownership: an archive owns its entries and borrows the bytes, which
// must outlive it. Thread safety: a read archive is read-only.
#ifndef NABLA_DATA_ZIP_H
#define NABLA_DATA_ZIP_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

enum { ZIP_ENTRIES_MAX = 4096 };

struct zip_entry {
    char *name; // owned by the archive
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, size; // bytes in the archive, and of the content
    uint64_t begin, end;   // of the local header and what belongs to it
    const void *data;      // what is packed
};

struct zip {
    struct zip_entry *entries; // in order of their place in the file
    size_t count;
};

enum nabla_code zip_read(const void *bytes, size_t size, struct zip *ret, struct nabla_error *err);
void zip_free(struct zip *zip);

// The content of an entry, of at most `most` bytes. *ret_bytes points into the archive where the entry is
// stored, else into *room, which the caller frees.
enum nabla_code zip_content(const struct zip_entry *entry, size_t most, struct buffer *room,
                            const void **ret_bytes, struct nabla_error *err);

#endif
