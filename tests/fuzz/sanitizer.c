// How AddressSanitizer keeps its books in a fuzz target, where all memory is young: of what was freed it
// holds back the last MiB, whose pages stay in the cache, and of who allocated it keeps a few frames. The
// default costs up to a third of a run. ASAN_OPTIONS overrides each.
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=4";
}
