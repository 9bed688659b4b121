// The kernel's interfaces themselves: Debian 12's headers know Landlock's second version, the kernel may know
// more.
#include "server/confine.h"

#include "server/confine_calls.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
    DESCRIPTORS = 256,
    TASKS_MORE = 1024,     // threads beyond those that the machine has
    STACK_BYTES = 8 << 20, // the usual, of the first thread
    CPU_GRACE_SECONDS = 5,
};

// ---- Landlock ----

// Its third to sixth version.
enum {
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
    VERSION_TCP = 4,
    VERSION_DEVICES = 5,
    VERSION_SCOPES = 6,
};
static const uint64_t ACCESS_TRUNCATE = 1ULL << 14, ACCESS_DEVICES = 1ULL << 15;
static const uint64_t TCP_BIND_CONNECT = 3, SCOPE_ABSTRACT_SOCKETS_SIGNALS = 3;

struct ruleset {
    uint64_t files, tcp, scoped;
};

static int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t files_known(int version)
{
    uint64_t files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; // all of the first version
    if (version >= VERSION_REFER)
        files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= VERSION_TRUNCATE)
        files |= ACCESS_TRUNCATE;
    if (version >= VERSION_DEVICES)
        files |= ACCESS_DEVICES;
    return files;
}

static void allow(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = access, .parent_fd = path && *path ? open(path, O_PATH | O_CLOEXEC) : -1};
    if (rule.parent_fd < 0)
        return; // stays closed
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

static bool landlock(const struct confine *confine)
{
    int version = landlock_version();
    struct ruleset set = {.files = files_known(version),
                          .tcp = version >= VERSION_TCP ? TCP_BIND_CONNECT : 0,
                          .scoped = version >= VERSION_SCOPES ? SCOPE_ABSTRACT_SOCKETS_SIGNALS : 0};
    size_t size = version >= VERSION_SCOPES ? sizeof set : version >= VERSION_TCP ? 16 : 8;
    int rules = version ? (int)syscall(SYS_landlock_create_ruleset, &set, size, 0) : -1;
    if (rules < 0)
        return false;
    const uint64_t within = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                            LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                            LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_TRUNCATE;
    allow(rules, confine->folder, within & set.files);
    allow(rules, confine->file, LANDLOCK_ACCESS_FS_READ_FILE);
    allow(rules, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE); // where libraries look for randomness
    bool restricted = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    close(rules);
    return restricted;
}

// ---- resource limits ----

static void limit(int resource, uint64_t most)
{
    struct rlimit now;
    if (getrlimit(resource, &now) == 0 && most < now.rlim_max) {
        const struct rlimit lower = {most, most};
        setrlimit(resource, &lower);
    }
}

// The signal that names the cause comes at the first limit, the one that cannot be ignored at the second: at
// one and the same only the latter would.
static void limit_cpu(uint64_t seconds)
{
    struct rlimit now;
    uint64_t last;
    if (__builtin_add_overflow(seconds, CPU_GRACE_SECONDS, &last))
        return;
    limit(RLIMIT_CPU, last);
    if (getrlimit(RLIMIT_CPU, &now) == 0 && seconds < now.rlim_cur) {
        now.rlim_cur = seconds;
        setrlimit(RLIMIT_CPU, &now);
    }
}

// For the kernel counts a user's tasks, not a process's; as many as the machine has are surely his. A service
// may see of /proc its processes alone; what sysinfo says instead is cut to 16 bits, so a machine with more
// may allow too few there, and then the worker goes on with fewer threads.
static void limit_tasks(void)
{
    unsigned tasks;
    struct sysinfo machine;
    FILE *in = fopen("/proc/loadavg", "re");
    if (in && fscanf(in, "%*s %*s %*s %*u/%u", &tasks) == 1)
        limit(RLIMIT_NPROC, (uint64_t)tasks + TASKS_MORE);
    else if (sysinfo(&machine) == 0)
        limit(RLIMIT_NPROC, (uint64_t)machine.procs + TASKS_MORE);
    if (in)
        fclose(in);
}

// Of a server that root runs: what is left lets it reach its own files in a folder of somebody else's.
static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3], left[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, held))
        return;
    left[0].effective = held[0].effective & 1U << CAP_DAC_OVERRIDE;
    left[0].permitted = held[0].permitted & 1U << CAP_DAC_OVERRIDE;
    syscall(SYS_capset, &header, left);
}

// What malloc and the like hold now. The sanitizers' shadows are no memory, and larger than any limit.
static uint64_t data_now(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return UINT64_MAX;
#else
    unsigned long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (!in || fscanf(in, "%*u %*u %*u %*u %*u %lu", &pages) != 1)
        pages = 1UL << 16;
    if (in)
        fclose(in);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
#endif
}

static void limit_resources(const struct confine *confine)
{
    uint64_t memory;
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, DESCRIPTORS);
    limit(RLIMIT_STACK, STACK_BYTES);
    limit_tasks();
    if (confine->memory_bytes && !__builtin_add_overflow(confine->memory_bytes, data_now(), &memory))
        limit(RLIMIT_DATA, memory);
    if (confine->cpu_seconds)
        limit_cpu(confine->cpu_seconds);
    if (confine->file_bytes)
        limit(RLIMIT_FSIZE, confine->file_bytes);
    signal(SIGXFSZ, SIG_IGN); // writing on is an error then, which says what happened
}

static void name_missing(bool has_landlock, bool has_seccomp, char *ret, size_t size)
{
    snprintf(ret, size, "%s%s%s", has_landlock ? "" : "Landlock", has_landlock || has_seccomp ? "" : ", ",
             has_seccomp ? "" : "seccomp");
}

void confine_missing(char *ret, size_t size)
{
    name_missing(landlock_version() > 0, confine_calls_exists(), ret, size);
}

void confine_process(const struct confine *confine, char *ret_missing, size_t size)
{
    limit_resources(confine);
    drop_capabilities();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool has_landlock = landlock(confine);
    name_missing(has_landlock, confine_calls(), ret_missing, size);
}
