// What a confined process can and cannot do, from each of its threads; and that a live worker is one.
// A child does what is tried: confining cannot be taken back.
#include "server/confine.h"

#include "base/buffer.h"
#include "base/file.h"
#include "server/line.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "live.h"

static char folder[64], data_set[96], outside[96];
// Listeners of the test's: on loopback, in the file system, in the abstract namespace.
enum { BY_TCP, BY_PATH, BY_NAME, LISTENERS };
static struct there {
    int fd;
    struct sockaddr_storage address;
    socklen_t size;
} there[LISTENERS];
// Sockets that the process had before: what matters is whether it may connect them.
static int before[LISTENERS];
static int given_line = -1; // a worker's, with two connections on their way

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool try_shadow(void)
{
    return opens("/etc/shadow", O_RDONLY);
}
static bool try_passwd(void)
{
    return opens("/etc/passwd", O_RDONLY);
}
static bool try_list(void)
{
    DIR *list = opendir("/etc");
    if (list)
        closedir(list);
    return list != NULL;
}
static bool try_proc(void)
{
    return opens("/proc/self/environ", O_RDONLY);
}
static bool try_outside(void)
{
    return opens(outside, O_WRONLY | O_CREAT);
}
static bool try_truncate(void)
{
    return truncate(outside, 0) == 0;
}
static bool try_chmod(void)
{
    return chmod(outside, 0666) == 0;
}
static bool try_data_set_write(void)
{
    return opens(data_set, O_WRONLY);
}
static bool try_data_set(void)
{
    return opens(data_set, O_RDONLY);
}
static bool try_link(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/link", folder);
    return link(outside, path) == 0 || symlink(outside, path) == 0;
}
static bool try_own_file(void)
{
    char path[128], moved[128];
    snprintf(path, sizeof path, "%s/own", folder);
    snprintf(moved, sizeof moved, "%s/moved", folder);
    return opens(path, O_RDWR | O_CREAT) && rename(path, moved) == 0 && opens(moved, O_RDONLY) &&
           unlink(moved) == 0;
}
static bool try_own_program(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/program", folder);
    execl(path, path, NULL);
    return errno != EPERM && errno != EACCES;
}
static bool try_program(void)
{
    execl("/bin/true", "true", NULL);
    return errno != EPERM && errno != EACCES;
}
static bool try_system(void)
{
    return system("exit 0") == 0;
}
static bool try_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child > 0;
}
static bool connects(int fd, const struct there *to)
{
    return connect(fd, (const struct sockaddr *)&to->address, to->size) == 0;
}
static bool reaches(const struct there *to)
{
    int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && connects(fd, to);
    if (fd >= 0)
        close(fd);
    return is_there;
}
static bool try_tcp(void)
{
    return reaches(&there[BY_TCP]);
}
static bool try_unix_path(void)
{
    return reaches(&there[BY_PATH]);
}
static bool try_unix_name(void)
{
    return reaches(&there[BY_NAME]);
}
static bool try_tcp_before(void)
{
    return connects(before[BY_TCP], &there[BY_TCP]);
}
static bool try_unix_path_before(void)
{
    return connects(before[BY_PATH], &there[BY_PATH]);
}
static bool try_unix_name_before(void)
{
    return connects(before[BY_NAME], &there[BY_NAME]);
}
static bool try_accept(void)
{
    return accept4(there[BY_PATH].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) >= 0 || errno == EAGAIN;
}
static bool try_datagram(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0;
}
// It would send to any path.
static bool try_datagram_pair(void)
{
    int ends[2];
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0;
}
static bool try_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0;
}
static bool try_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}
// As a worker comes by its connections, and speaks through them.
static bool try_given(void)
{
    int fd = -1;
    char byte;
    struct nabla_error err;
    struct line line = {.fd = given_line};
    atomic_bool stopped = false;
    bool is_given = line_connect(&line, &stopped, &fd, &err) == NABLA_OK;
    bool speaks = is_given && send(fd, "x", 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
    if (is_given)
        close(fd);
    return speaks;
}
// A descriptor could leave in it.
static bool try_sendmsg(void)
{
    char byte = 'x';
    struct iovec bytes = {&byte, 1};
    const struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    return sendmsg(given_line, &message, MSG_NOSIGNAL) == 1;
}
static bool try_kill(void)
{
    return kill(getppid(), 0) == 0;
}
static bool try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}
static bool try_namespace(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}
static bool try_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool try_perf(void)
{
    return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 || errno == EFAULT;
}
static bool try_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno == EFAULT;
}
// What the kernel lets any process do to one of the same user. Nothing is changed by it.
static bool try_limits_of_others(void)
{
    struct rlimit cores;
    return prlimit(getppid(), RLIMIT_CORE, NULL, &cores) == 0 &&
           prlimit(getppid(), RLIMIT_CORE, &cores, NULL) == 0;
}
static bool try_own_limits(void)
{
    struct rlimit cores;
    return getrlimit(RLIMIT_CORE, &cores) == 0 && setrlimit(RLIMIT_CORE, &cores) == 0;
}
static bool try_priority_of_others(void)
{
    const id_t other = (id_t)getppid();
    return setpriority(PRIO_PROCESS, other, getpriority(PRIO_PROCESS, other)) == 0;
}
static bool try_scheduler_of_others(void)
{
    struct sched_param param;
    return sched_getparam(getppid(), &param) == 0 &&
           sched_setscheduler(getppid(), sched_getscheduler(getppid()), &param) == 0;
}
static bool try_cores_of_others(void)
{
    cpu_set_t cores;
    return sched_getaffinity(getppid(), sizeof cores, &cores) == 0 &&
           sched_setaffinity(getppid(), sizeof cores, &cores) == 0;
}
static bool try_handle_of_others(void)
{
    return syscall(SYS_pidfd_open, getppid(), 0) >= 0;
}
// Once something is to be read there, the kernel would send that signal.
static bool try_signal_by_descriptor(void)
{
    return fcntl(given_line, F_SETOWN, getppid()) == 0 && fcntl(given_line, F_SETSIG, SIGURG) == 0;
}
static bool try_signal_by_ioctl(void)
{
    const int other = getppid();
    return ioctl(given_line, 0x8901 /* FIOSETOWN */, &other) == 0;
}
// Whoever opens the file would wait for as long as it likes.
static bool try_lease(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/leased", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool is_leased = fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
    if (fd >= 0)
        close(fd);
    return is_leased;
}
static bool try_file_of_memory(void)
{
    return syscall(SYS_memfd_create, "memory", 0U) >= 0;
}
static bool maps(int flags)
{
    void *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (block != MAP_FAILED)
        munmap(block, 1 << 20);
    return block != MAP_FAILED;
}
static bool try_shared_memory(void)
{
    return maps(MAP_SHARED);
}
static bool try_memory_as_stack(void)
{
    return maps(MAP_PRIVATE | MAP_GROWSDOWN);
}
static bool closes(int protection)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_closed = page != MAP_FAILED && mprotect(page, 4096, protection) == 0;
    if (page != MAP_FAILED)
        munmap(page, 4096);
    return is_closed;
}
// Both stay in memory.
static bool try_memory_closed(void)
{
    return closes(PROT_READ) || closes(PROT_NONE) ||
           syscall(SYS_pkey_mprotect, NULL, 0UL, (unsigned long)PROT_READ, -1L) == 0;
}
static bool try_asynchronous(void)
{
    unsigned long context = 0;
    bool is_made = syscall(SYS_io_setup, 1U, &context) == 0;
    if (is_made)
        syscall(SYS_io_destroy, context);
    return is_made;
}
static bool try_memory_that_stays(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
    return id >= 0;
}
static bool try_watch_folder(void)
{
    int fd = inotify_init1(IN_CLOEXEC);
    return fd >= 0 && inotify_add_watch(fd, "/tmp", IN_CREATE) >= 0;
}
// fchmodat2, which this C library does not know yet.
static bool try_young_chmod(void)
{
    return syscall(452, AT_FDCWD, outside, 0666, 0) == 0;
}
static bool try_session(void)
{
    return setsid() >= 0 || setpgid(0, 0) == 0;
}
static bool try_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
    return syscall(SYS_capget, &header, held) || held[1].permitted ||
           (held[0].permitted & ~(1U << CAP_DAC_OVERRIDE));
}
static void *nothing(void *context)
{
    return context;
}
static bool try_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}
static bool try_memory(void)
{
    void *block = malloc(1 << 20);
    free(block);
    return block != NULL;
}

static const struct attempt {
    const char *what;
    bool (*attempt)(void);
    bool is_allowed;
} attempts[] = {
    {"read /etc/shadow", try_shadow, false},
    {"read /etc/passwd", try_passwd, false},
    {"list a folder elsewhere", try_list, false},
    {"read its environment through /proc", try_proc, false},
    {"write a file elsewhere", try_outside, false},
    {"truncate a file elsewhere", try_truncate, false},
    {"change a file's mode", try_chmod, false},
    {"link a file into its folder", try_link, false},
    {"write its data set", try_data_set_write, false},
    {"read its data set", try_data_set, true},
    {"make, rename and remove a file of its own", try_own_file, true},
    {"run a program", try_program, false},
    {"run a program that it wrote itself", try_own_program, false},
    {"run a shell", try_system, false},
    {"start a process", try_fork, false},
    {"connect by TCP", try_tcp, false},
    {"connect to a Unix socket in the file system", try_unix_path, false},
    {"connect to an abstract one", try_unix_name, false},
    {"connect a TCP socket that it had", try_tcp_before, false},
    {"connect a Unix socket that it had", try_unix_path_before, false},
    {"connect another to an abstract one", try_unix_name_before, false},
    {"accept a connection", try_accept, false},
    {"send datagrams", try_datagram, false},
    {"have a pair of datagram sockets", try_datagram_pair, false},
    {"ask the kernel for its network", try_netlink, false},
    {"have a Unix stream", try_unix, false},
    {"be given a connection", try_given, true},
    {"send messages with descriptors", try_sendmsg, false},
    {"signal another process", try_kill, false},
    {"be traced", try_ptrace, false},
    {"have a namespace", try_namespace, false},
    {"make memory executable", try_executable, false},
    {"measure the machine", try_perf, false},
    {"use io_uring", try_uring, false},
    {"change limits of another process", try_limits_of_others, false},
    {"lower its own", try_own_limits, true},
    {"change the priority of another process", try_priority_of_others, false},
    {"change its scheduler", try_scheduler_of_others, false},
    {"change its cores", try_cores_of_others, false},
    {"have a handle of it", try_handle_of_others, false},
    {"have the kernel signal it", try_signal_by_descriptor, false},
    {"have the kernel signal it, asked otherwise", try_signal_by_ioctl, false},
    {"lease a file", try_lease, false},
    {"keep memory in a file that is none", try_file_of_memory, false},
    {"share memory, which is not counted", try_shared_memory, false},
    {"call memory a stack, which is not counted", try_memory_as_stack, false},
    {"close memory, which is then not counted", try_memory_closed, false},
    {"have asynchronous operations", try_asynchronous, false},
    {"leave memory behind", try_memory_that_stays, false},
    {"watch a folder elsewhere", try_watch_folder, false},
    {"change a file's mode by a younger call", try_young_chmod, false},
    {"leave its session or group", try_session, false},
    {"do what root may", try_capabilities, false},
    {"start a thread", try_thread, true},
    {"allocate memory", try_memory, true},
};
enum { ATTEMPTS = sizeof attempts / sizeof *attempts };

struct outcome {
    bool succeeded[2][ATTEMPTS]; // by the first thread, by another
};

static void *try_all(void *context)
{
    bool *succeeded = context;
    for (size_t i = 0; i < ATTEMPTS; i++)
        succeeded[i] = attempts[i].attempt();
    return NULL;
}

// One for each thread that tries them.
enum { GIVEN = 2 };

static void sockets_make(void)
{
    int server, ends[2];
    struct nabla_error err;
    for (size_t i = 0; i < LISTENERS; i++)
        before[i] = socket(there[i].address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line_make(&server, &given_line, &err))
        return;
    for (size_t i = 0; i < GIVEN; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 && send(ends[0], "y", 1, 0) == 1)
            line_answer(server, ends[1]);
}

static void be_confined(const struct confine *confine, struct outcome *outcome)
{
    char missing[64];
    pthread_t thread;
    sockets_make();
    confine_process(confine, missing, sizeof missing);
    try_all(outcome->succeeded[0]);
    if (pthread_create(&thread, NULL, try_all, outcome->succeeded[1]) == 0)
        pthread_join(thread, NULL);
}

static int run_child(const struct confine *confine, void (*run)(const struct confine *, struct outcome *),
                     struct outcome *ret)
{
    struct outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        run(confine, shared);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    *ret = *shared;
    munmap(shared, sizeof *shared);
    return status;
}

static bool kernel_confines(void)
{
    char missing[64];
    confine_missing(missing, sizeof missing);
    return !missing[0] && syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3;
}

static void a_confined_process_can_do_its_work_and_nothing_else(void **state)
{
    (void)state;
    const struct confine confine = {.folder = folder, .file = data_set};
    struct outcome outcome;
    if (!kernel_confines())
        skip();
    assert_int_equal(run_child(&confine, be_confined, &outcome), 0);
    for (size_t thread = 0; thread < 2; thread++)
        for (size_t i = 0; i < ATTEMPTS; i++)
            if (outcome.succeeded[thread][i] != attempts[i].is_allowed)
                fail_msg("thread %zu %s %s", thread, outcome.succeeded[thread][i] ? "could" : "could not",
                         attempts[i].what);
}

static bool (*const possible[])(void) = {try_passwd,
                                         try_outside,
                                         try_fork,
                                         try_list,
                                         try_tcp,
                                         try_unix_path,
                                         try_unix_name,
                                         try_tcp_before,
                                         try_unix_path_before,
                                         try_unix_name_before,
                                         try_accept,
                                         try_datagram,
                                         try_datagram_pair,
                                         try_unix,
                                         try_given,
                                         try_sendmsg,
                                         try_limits_of_others,
                                         try_priority_of_others,
                                         try_scheduler_of_others,
                                         try_cores_of_others,
                                         try_handle_of_others,
                                         try_signal_by_descriptor,
                                         try_signal_by_ioctl,
                                         try_lease,
                                         try_file_of_memory,
                                         try_shared_memory,
                                         try_memory_as_stack,
                                         try_memory_closed,
                                         try_asynchronous,
                                         try_memory_that_stays,
                                         try_watch_folder,
                                         try_session};
enum { POSSIBLE = sizeof possible / sizeof *possible };

static void be_free(const struct confine *confine, struct outcome *outcome)
{
    (void)confine;
    sockets_make();
    for (size_t i = 0; i < POSSIBLE; i++)
        outcome->succeeded[0][i] = possible[i]();
}

// The attempts themselves are sound: what is refused above succeeds without confinement.
static void a_process_that_is_not_confined_can(void **state)
{
    (void)state;
    struct outcome outcome;
    assert_int_equal(run_child(NULL, be_free, &outcome), 0);
    for (size_t i = 0; i < POSSIBLE; i++)
        if (!outcome.succeeded[0][i])
            fail_msg("attempt %zu fails by itself", i);
}

// How many blocks are held by a process that closes each once it is written.
static size_t hold_closed(size_t most, size_t size)
{
    size_t count = 0;
    char *block;
    while (count < most && (block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                         0)) != MAP_FAILED) {
        memset(block, 1, size);
        mprotect(block, size, PROT_READ);
        count++;
    }
    return count;
}

static void use_too_much(const struct confine *confine, struct outcome *outcome)
{
    char missing[64], path[128], block[4096] = {0};
    confine_process(confine, missing, sizeof missing);
    snprintf(path, sizeof path, "%s/large", folder);
    void *memory = malloc(64 << 20);
    outcome->succeeded[0][0] = memory != NULL || hold_closed(64, 1 << 20) == 64;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && write(fd, block, sizeof block) == sizeof block)
        ;
    outcome->succeeded[0][1] = errno != EFBIG;
    for (volatile uint64_t busy = 0;; busy++) // until the CPU time is used up
        if (outcome->succeeded[0][2])
            break;
}

static void each_resource_has_its_limit(void **state)
{
    (void)state;
    const struct confine confine = {
        .folder = folder, .memory_bytes = 16 << 20, .file_bytes = 64 << 10, .cpu_seconds = 1};
    struct outcome outcome;
    int status = run_child(&confine, use_too_much, &outcome);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);                    // SIGKILL would not say why
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // their shadows exceed any limit
    assert_false(outcome.succeeded[0][0]);
#endif
    assert_false(outcome.succeeded[0][1]);
}

static rlim_t before_tasks;

// A service's view of /proc, where it is made so that it has processes alone.
static void be_confined_without_loadavg(const struct confine *confine, struct outcome *outcome)
{
    char missing[64];
    struct rlimit tasks;
    outcome->succeeded[0][0] = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                               mount("/dev/null", "/proc/loadavg", NULL, MS_BIND, NULL) == 0;
    confine_process(confine, missing, sizeof missing);
    outcome->succeeded[0][1] = getrlimit(RLIMIT_NPROC, &tasks) == 0 && tasks.rlim_max < before_tasks;
}

static void tasks_are_limited_where_proc_has_processes_alone(void **state)
{
    (void)state;
    struct outcome outcome;
    struct rlimit tasks;
    assert_int_equal(getrlimit(RLIMIT_NPROC, &tasks), 0);
    before_tasks = tasks.rlim_max;
    if (before_tasks <= UINT16_MAX + 1024) // as few as the machine may have, or fewer
        skip();
    assert_int_equal(run_child(&(struct confine){.folder = folder}, be_confined_without_loadavg, &outcome),
                     0);
    if (!outcome.succeeded[0][0])
        skip(); // namespaces are not for everybody
    assert_true(outcome.succeeded[0][1]);
}

static bool says(const char *path, const char *line)
{
    struct buffer text = buffer_new(1 << 20);
    bool found = file_read(path, &text, NULL) == NABLA_OK && strstr(text.data, line);
    buffer_free(&text);
    return found;
}

// Every thread of a worker that trains, as the kernel sees it.
static void a_live_worker_is_confined(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    if (!kernel_confines())
        skip();
    static const char *const flags[] = {"--confine-workers", "true", NULL};
    struct live live;
    char job[64], path[300];
    live_make_folder(&live);
    live_start(&live, flags);
    live_post_job(
        &live,
        "{\"dataset\":{\"generator\":\"moons\",\"rows\":1000},\"model\":{\"layers\":[{\"units\":64}]},"
        "\"training\":{\"epochs\":100000}}",
        job);
    snprintf(path, sizeof path, "%.64s/data/jobs/%.64s/log", live.folder, job);
    // It takes the lock by which it is found before it is confined.
    for (int waited_ms = 0; !says(path, "trains, process") && waited_ms < LIVE_DEADLINE_MS; waited_ms += 10)
        poll(NULL, 0, 10);
    pid_t worker = live_worker(&live, job);
    assert_true(worker > 0);
    snprintf(path, sizeof path, "/proc/%d/task", worker);
    DIR *threads = opendir(path);
    size_t count = 0;
    for (struct dirent *at; threads && (at = readdir(threads));) {
        if (at->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", worker, at->d_name);
        assert_true(says(path, "NoNewPrivs:\t1"));
        assert_true(says(path, "Seccomp:\t2"));
        count++;
    }
    closedir(threads);
    assert_true(count >= 1);
    snprintf(path, sizeof path, "/proc/%d/limits", worker);
    assert_true(says(path, "Max core file size        0 "));
    assert_int_equal(live_end(&live, SIGTERM), 0);
    live_remove_folder(&live);
}

static bool there_listen(struct there *at, const void *address, socklen_t size)
{
    memcpy(&at->address, address, size);
    at->size = sizeof at->address;
    at->fd = socket(at->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return bind(at->fd, (struct sockaddr *)&at->address, size) == 0 && listen(at->fd, 64) == 0 &&
           getsockname(at->fd, (struct sockaddr *)&at->address, &at->size) == 0;
}

static bool listeners_open(void)
{
    const struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const sa_family_t name = AF_UNIX; // the kernel chooses an abstract one
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    snprintf(path.sun_path, sizeof path.sun_path, "%s/listener", folder); // where Landlock lets it write
    return there_listen(&there[BY_TCP], &tcp, sizeof tcp) &&
           there_listen(&there[BY_PATH], &path, sizeof path) &&
           there_listen(&there[BY_NAME], &name, sizeof name);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/nabla-confine-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(data_set, sizeof data_set, "%s.data", folder);
    snprintf(outside, sizeof outside, "%s.outside", folder);
    char program[128];
    snprintf(program, sizeof program, "%s/program", folder);
    return file_replace(data_set, "x", 1, NULL) || file_replace(outside, "x", 1, NULL) ||
           file_replace(program, "#!/bin/sh\n", 10, NULL) || chmod(program, 0700) || !listeners_open();
}

static int teardown(void **state)
{
    (void)state;
    struct live made = {0};
    snprintf(made.folder, sizeof made.folder, "%s", folder);
    live_remove_folder(&made);
    unlink(data_set);
    unlink(outside);
    for (size_t i = 0; i < LISTENERS; i++)
        close(there[i].fd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_is_not_confined_can),
        cmocka_unit_test(a_confined_process_can_do_its_work_and_nothing_else),
        cmocka_unit_test(each_resource_has_its_limit),
        cmocka_unit_test(tasks_are_limited_where_proc_has_processes_alone),
        cmocka_unit_test(a_live_worker_is_confined),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
