// Replays kept inputs through a fuzz target, without a fuzzer: build/tests/fuzz/fuzz_csv [FILE|FOLDER]…
// Without arguments, all of tests/fuzz/corpus/csv. One test case, in TAP.
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static size_t replayed;

// Only a fuzzer mutates.
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most)
{
    (void)bytes, (void)most;
    return size;
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status)) {
        perror(path);
        exit(1);
    }
    // Exactly as long as the input: a read past its end is the sanitizer's to see.
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    fprintf(stderr, "# %s\n", path); // the last one named is the one that crashed
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    replayed++;
}

static void replay(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        replay_file(path);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        char below[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        replay(below);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    const char *base = strrchr(argv[0], '/');
    const char *name = strstr(base ? base : argv[0], "fuzz_");
    char corpus[4096];
    printf("1..1\n");
    fflush(stdout);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1) {
        snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name + strlen("fuzz_"));
        replay(corpus);
    }
    printf("%s 1 - %zu inputs\n", replayed ? "ok" : "not ok", replayed);
    return replayed ? 0 : 1;
}
