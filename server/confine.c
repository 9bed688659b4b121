// The kernel's interfaces themselves: Debian 12's headers know Landlock's second version, the kernel may know
// more, and a filter of forty comparisons needs no library.
#include "server/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DESCRIPTORS = 256 };

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

// ---- seccomp ----

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCHITECTURE

// What a worker has no use for.
static const int refused[] = {
    // programs and processes (clone is looked at below)
    SYS_execve,
    SYS_execveat,
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
#endif
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    // Every way to somebody else: what a worker is connected to was given to it. A pair of datagram sockets
    // would do, too, for they send to any path; and a message could carry a descriptor away.
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    // rights of files, which Landlock does not look at
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_utimensat,
    SYS_mknodat,
    SYS_symlinkat,
    SYS_linkat,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
#ifdef SYS_chmod
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_mknod,
    SYS_symlink,
    SYS_link,
#endif
    // who it is, and what it sees of the system
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    SYS_personality,
    SYS_unshare,
    SYS_setns,
    SYS_chroot,
    SYS_pivot_root,
    SYS_mount,
    SYS_umount2,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    // administration, and what attacks on the kernel are made of
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_vhangup,
};
enum { REFUSED = sizeof refused / sizeof *refused, FILTER_MAX = REFUSED + 96 };
_Static_assert(REFUSED < 200, "a jump goes 255 instructions far");

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short length;
};

static void add(struct filter *filter, struct sock_filter instruction)
{
    if (filter->length < FILTER_MAX)
        filter->code[filter->length++] = instruction;
}

static void load(struct filter *filter, size_t at)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)at));
}

static void end(struct filter *filter, unsigned action)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static unsigned error(int number)
{
    return SECCOMP_RET_ERRNO | ((unsigned)number & SECCOMP_RET_DATA);
}

// The lower half of an argument; both architectures are little endian.
static size_t argument(int index)
{
    return offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)index;
}

// If the call is `call`: looks at an argument, and refuses it unless `test` (a BPF jump) holds with `value`.
static void require(struct filter *filter, long call, int index, unsigned short test, unsigned value,
                    int number)
{
    load(filter, offsetof(struct seccomp_data, nr));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3));
    load(filter, argument(index));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 1, 0));
    end(filter, error(number));
}

// As above, the other way round.
static void refuse_if(struct filter *filter, long call, int index, unsigned short test, unsigned value)
{
    load(filter, offsetof(struct seccomp_data, nr));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3));
    load(filter, argument(index));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, 1));
    end(filter, error(EPERM));
}

static void refuse_calls(struct filter *filter)
{
    load(filter, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < REFUSED; i++) // to the EPERM behind the list
        add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i],
                                                 (unsigned char)(REFUSED - i), 0));
    add(filter, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    end(filter, error(EPERM));
}

static void filter_make(struct filter *ret)
{
    ret->length = 0;
    load(ret, offsetof(struct seccomp_data, arch));
    add(ret, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0));
    end(ret, SECCOMP_RET_KILL_PROCESS);
    load(ret, offsetof(struct seccomp_data, nr));
    // Calls of the x32 kind have this bit, and numbers of their own.
    add(ret, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    end(ret, SECCOMP_RET_KILL_PROCESS);
    refuse_calls(ret);
    require(ret, SYS_clone, 0, BPF_JSET, CLONE_THREAD, EPERM);
    // Its flags lie in memory, out of sight: the C library then uses clone.
    refuse_if(ret, SYS_clone3, 0, BPF_JGE, 0);
    ret->code[ret->length - 1].k = error(ENOSYS);
    require(ret, SYS_kill, 0, BPF_JEQ, (unsigned)getpid(), EPERM);
    require(ret, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid(), EPERM);
    refuse_if(ret, SYS_mmap, 2, BPF_JSET, PROT_EXEC);
    refuse_if(ret, SYS_mprotect, 2, BPF_JSET, PROT_EXEC);
    refuse_if(ret, SYS_pkey_mprotect, 2, BPF_JSET, PROT_EXEC);
    end(ret, SECCOMP_RET_ALLOW);
}

static bool seccomp(void)
{
    struct filter filter;
    filter_make(&filter);
    if (filter.length == FILTER_MAX)
        return false; // it may have been cut
    const struct sock_fprog program = {.len = filter.length, .filter = filter.code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static bool seccomp_exists(void)
{
    unsigned action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

#else

static bool seccomp(void)
{
    return false;
}

static bool seccomp_exists(void)
{
    return false;
}

#endif

// ---- resource limits ----

static void limit(int resource, uint64_t most)
{
    struct rlimit now;
    if (getrlimit(resource, &now) == 0 && most < now.rlim_max) {
        const struct rlimit lower = {most, most};
        setrlimit(resource, &lower);
    }
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
    if (confine->memory_bytes && !__builtin_add_overflow(confine->memory_bytes, data_now(), &memory))
        limit(RLIMIT_DATA, memory);
    if (confine->cpu_seconds)
        limit(RLIMIT_CPU, confine->cpu_seconds);
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
    name_missing(landlock_version() > 0, seccomp_exists(), ret, size);
}

void confine_process(const struct confine *confine, char *ret_missing, size_t size)
{
    limit_resources(confine);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool has_landlock = landlock(confine);
    name_missing(has_landlock, seccomp(), ret_missing, size);
}
