// A list of what is refused and not of what is allowed: the C library chooses its calls by itself. So it must
// name every call that reaches beyond the process.
#include "server/confine_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_process_madvise,
    SYS_process_mrelease,
    SYS_move_pages,
    SYS_migrate_pages,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    // how much of the machine others get: the kernel asks for no more than the same user
    SYS_setpriority,
    SYS_sched_setscheduler,
    SYS_sched_setparam,
    SYS_sched_setattr,
    SYS_sched_setaffinity,
    SYS_ioprio_set,
    SYS_setpgid,
    SYS_setsid,
    // memory that no limit counts, or that stays when the process is gone, or that can be made executable
    SYS_memfd_create,
    SYS_memfd_secret,
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_semctl,
    SYS_mq_open,
    SYS_mq_unlink,
    SYS_io_setup, // of which the whole machine has a number
    // what happens in folders that it may not read
    SYS_inotify_init1,
    SYS_inotify_add_watch,
#ifdef SYS_inotify_init
    SYS_inotify_init,
#endif
    SYS_fanotify_init,
    SYS_fanotify_mark,
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
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_uselib,
#endif
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_vhangup,
};
enum { REFUSED = sizeof refused / sizeof *refused, FILTER_MAX = REFUSED + 128 };
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

// As if the kernel did not know the call.
static void hide_if(struct filter *filter, unsigned short test, unsigned call, int number)
{
    load(filter, offsetof(struct seccomp_data, nr));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, call, 0, 1));
    end(filter, error(number));
}

// Signals to whoever a descriptor names, and leases, which make others wait who open the file.
static void refuse_control(struct filter *filter)
{
    static const unsigned commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        refuse_if(filter, SYS_fcntl, 1, BPF_JEQ, commands[i]);
}

// Memory is counted where it is private, no stack, and as long as it may be written to: what is closed to
// that again stays, and is counted no more.
static void refuse_uncounted(struct filter *filter)
{
    require(filter, SYS_mprotect, 2, BPF_JSET, PROT_WRITE, EPERM);
    require(filter, SYS_pkey_mprotect, 2, BPF_JSET, PROT_WRITE, EPERM);
    const unsigned shared = MAP_SHARED | MAP_ANONYMOUS;
    refuse_if(filter, SYS_mmap, 3, BPF_JSET, MAP_GROWSDOWN);
    load(filter, offsetof(struct seccomp_data, nr));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 4));
    load(filter, argument(3));
    add(filter, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, shared));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, shared, 0, 1));
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
    hide_if(ret, BPF_JEQ, SYS_clone3, ENOSYS);
    // Calls that are younger than the list above, which cannot name them (one of them is a chmod). From 424
    // on all architectures have the same numbers.
    hide_if(ret, BPF_JGT, SYS_set_mempolicy_home_node, ENOSYS);
    hide_if(ret, BPF_JEQ, SYS_ioctl, ENOTTY); // of files and pipes alone
    refuse_control(ret);
    refuse_uncounted(ret);
    require(ret, SYS_prlimit64, 0, BPF_JEQ, 0, EPERM); // its own limits
    require(ret, SYS_kill, 0, BPF_JEQ, (unsigned)getpid(), EPERM);
    require(ret, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid(), EPERM);
    refuse_if(ret, SYS_mmap, 2, BPF_JSET, PROT_EXEC);
    refuse_if(ret, SYS_mprotect, 2, BPF_JSET, PROT_EXEC);
    refuse_if(ret, SYS_pkey_mprotect, 2, BPF_JSET, PROT_EXEC);
    end(ret, SECCOMP_RET_ALLOW);
}

bool confine_calls(void)
{
    struct filter filter;
    filter_make(&filter);
    if (filter.length == FILTER_MAX)
        return false; // it may have been cut
    const struct sock_fprog program = {.len = filter.length, .filter = filter.code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

bool confine_calls_exists(void)
{
    unsigned action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

#else

bool confine_calls(void)
{
    return false;
}

bool confine_calls_exists(void)
{
    return false;
}

#endif
