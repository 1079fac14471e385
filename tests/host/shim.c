/*
 * LD_PRELOAD shim for pam-host. It leads the module's log to a socket of the test, writes down what the module
 * asks of the C library, and can make the n-th of those calls fail. "The module" is code whose file name
 * contains PAM_HOST_MODULE (pam_onelogin by default); all other callers get the real function, unseen.
 *
 *   PAM_HOST_LOG         where connect("/dev/log") goes
 *   PAM_HOST_JOURNAL     /dev/log leads to the journal, and this is where a connection to the journal's socket goes. Without it
 *                        /dev/log is no link, whatever this machine has
 *   PAM_HOST_FAIL_AT     the number, from 1, of the call of the module that something happens to
 *   PAM_HOST_FAIL_HOW    what: `once` (it fails, the default), `on` (it and all after it fail), `stop` (SIGSTOP before
 *                        it), `kill` (SIGKILL before it), `back` (before it the clock of the day goes back a day),
 *                        `later` (nothing but the next)
 *   PAM_HOST_LATER       from that call on, the clocks that nobody can set are this many seconds later
 *   PAM_HOST_FAIL_ERRNO  the errno of what fails
 *   PAM_HOST_MARK        the host looks at the path PAM_HOST_MARK/begin before pam_authenticate and at PAM_HOST_MARK/end
 *                        after it, which a tracer sees (more marks: src/calls.rs)
 *   PAM_HOST_SHORT       reads and writes move one byte at a time
 *   PAM_HOST_NAMES       what getaddrinfo answers to the module: an EAI_ number
 *
 * The notes stay in memory (no descriptor of ours for R8 to trip over) until pam-host asks for them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <dirent.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAM_SYSTEM_ERR = 4 };

static char notes[1 << 20];
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char log_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static char journal_path[sizeof log_path];
static char module_name[64] = "pam_onelogin";
static unsigned long calls, fail_at;
static int fail_errno = EIO;
static int names, one_byte, later;
static enum { ONCE, ON, STOP, KILL, BACK, LATER } how;

static char *(*real_getenv)(const char *);

__attribute__((constructor)) static void read_settings(void)
{
    const char *text;

    real_getenv = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
    if ((text = real_getenv("PAM_HOST_LOG")) != NULL)
        snprintf(log_path, sizeof log_path, "%s", text);
    if ((text = real_getenv("PAM_HOST_JOURNAL")) != NULL)
        snprintf(journal_path, sizeof journal_path, "%s", text);
    if ((text = real_getenv("PAM_HOST_MODULE")) != NULL)
        snprintf(module_name, sizeof module_name, "%s", text);
    if ((text = real_getenv("PAM_HOST_NAMES")) != NULL)
        names = atoi(text);
    if ((text = real_getenv("PAM_HOST_FAIL_AT")) != NULL)
        fail_at = strtoul(text, NULL, 10);
    if ((text = real_getenv("PAM_HOST_FAIL_ERRNO")) != NULL)
        fail_errno = atoi(text);
    one_byte = real_getenv("PAM_HOST_SHORT") != NULL;
    if ((text = real_getenv("PAM_HOST_FAIL_HOW")) != NULL)
        how = strcmp(text, "on") == 0     ? ON
              : strcmp(text, "stop") == 0 ? STOP
              : strcmp(text, "kill") == 0 ? KILL
              : strcmp(text, "back") == 0 ? BACK
              : strcmp(text, "later") == 0 ? LATER
                                           : ONCE;
    if ((text = real_getenv("PAM_HOST_LATER")) != NULL)
        later = atoi(text);
}

/* Called by pam-host, through dlsym. */
const char *pam_host_notes(void)
{
    return notes;
}

unsigned long pam_host_calls(void)
{
    return calls;
}

/* Called by pam-host, through dlsym: with PAM_HOST_FAIL_HOW=later, the clocks are later from now on. */
void pam_host_pass(void)
{
    fail_at = calls > 0 ? calls : 1;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list arguments;
    int length;

    pthread_mutex_lock(&lock);
    va_start(arguments, format);
    length = vsnprintf(notes + used, sizeof notes - used, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof notes - used)
        used += (size_t)length;
    else
        notes[used] = '\0';
    pthread_mutex_unlock(&lock);
}

static int in_module(const void *caller)
{
    Dl_info info;
    const char *name;

    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
        return 0;
    name = strrchr(info.dli_fname, '/');
    return strstr(name == NULL ? info.dli_fname : name, module_name) != NULL;
}

/* Counts a call of the module; true when this is the one that has to fail. */
static int fails(const char *name, const void *caller)
{
    unsigned long number;

    if (!in_module(caller))
        return 0;
    number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (fail_at == 0 || (how == ON ? number < fail_at : number != fail_at))
        return 0;
    if (number == fail_at)
        note("failed %s\n", name);
    if (how == STOP || how == KILL)
        kill(getpid(), how == STOP ? SIGSTOP : SIGKILL);
    if (how != ONCE && how != ON)
        return 0;
    errno = fail_errno;
    return 1;
}

/* How much of a read or write of the module goes through. */
static size_t part(size_t size, const void *caller)
{
    return one_byte && size > 1 && in_module(caller) ? 1 : size;
}

#define CALLER __builtin_return_address(0)
#define REAL(result, name, ...)                                                    \
    static result (*real)(__VA_ARGS__);                                            \
    if (real == NULL)                                                              \
        real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* result name(parameters): the value of `failure` when its turn has come, else the real call. */
#define WRAP(result, failure, name, parameters, values, ...)                       \
    result name parameters;                                                        \
    result name parameters                                                         \
    {                                                                              \
        REAL(result, name, __VA_ARGS__);                                           \
        return fails(#name, CALLER) ? (failure) : real values;                     \
    }

/* The environment. */

char *getenv(const char *name)
{
    if (in_module(CALLER))
        note("getenv %s\n", name);
    return real_getenv != NULL ? real_getenv(name) : NULL;
}

char *secure_getenv(const char *name)
{
    REAL(char *, secure_getenv, const char *);
    if (in_module(CALLER))
        note("getenv %s\n", name);
    return real(name);
}

/* Files. */

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(arguments, int) : 0;
}

static int opened(int descriptor, const void *caller, const char *path, int flags)
{
    int error = errno;

    if (in_module(caller))
        note("open %d %d %s\n", descriptor, (flags & O_CLOEXEC) != 0, path);
    errno = error;
    return descriptor;
}

#define WRAP_OPEN(name)                                                            \
    int name(const char *path, int flags, ...);                                    \
    int name(const char *path, int flags, ...)                                     \
    {                                                                              \
        REAL(int, name, const char *, int, ...);                                   \
        va_list arguments;                                                         \
        mode_t mode;                                                               \
        va_start(arguments, flags);                                                \
        mode = mode_of(flags, arguments);                                          \
        va_end(arguments);                                                         \
        return opened(fails(#name, CALLER) ? -1 : real(path, flags, mode), CALLER, path, flags); \
    }

#define WRAP_OPENAT(name)                                                          \
    int name(int folder, const char *path, int flags, ...);                        \
    int name(int folder, const char *path, int flags, ...)                         \
    {                                                                              \
        REAL(int, name, int, const char *, int, ...);                              \
        va_list arguments;                                                         \
        mode_t mode;                                                               \
        va_start(arguments, flags);                                                \
        mode = mode_of(flags, arguments);                                          \
        va_end(arguments);                                                         \
        return opened(fails(#name, CALLER) ? -1 : real(folder, path, flags, mode), CALLER, path, flags); \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

int creat(const char *path, mode_t mode)
{
    REAL(int, creat, const char *, mode_t);
    return opened(fails("creat", CALLER) ? -1 : real(path, mode), CALLER, path, O_CREAT);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, fopen, const char *, const char *);
    FILE *file = fails("fopen", CALLER) ? NULL : real(path, mode);
    opened(file == NULL ? -1 : fileno(file), CALLER, path, strchr(mode, 'e') == NULL ? 0 : O_CLOEXEC);
    return file;
}

WRAP(ssize_t, -1, read, (int fd, void *to, size_t size), (fd, to, part(size, CALLER)), int, void *, size_t)
WRAP(ssize_t, -1, write, (int fd, const void *from, size_t size), (fd, from, part(size, CALLER)), int, const void *, size_t)
WRAP(ssize_t, -1, writev, (int fd, const struct iovec *from, int count), (fd, from, count), int, const struct iovec *, int)
WRAP(int, -1, fstat, (int fd, struct stat *to), (fd, to), int, struct stat *)
WRAP(int, -1, fstat64, (int fd, struct stat64 *to), (fd, to), int, struct stat64 *)
WRAP(int, -1, stat, (const char *path, struct stat *to), (path, to), const char *, struct stat *)
WRAP(int, -1, stat64, (const char *path, struct stat64 *to), (path, to), const char *, struct stat64 *)
WRAP(int, -1, lstat, (const char *path, struct stat *to), (path, to), const char *, struct stat *)
WRAP(int, -1, lstat64, (const char *path, struct stat64 *to), (path, to), const char *, struct stat64 *)
WRAP(int, -1, fstatat, (int folder, const char *path, struct stat *to, int flags), (folder, path, to, flags), int, const char *, struct stat *, int)
WRAP(int, -1, fstatat64, (int folder, const char *path, struct stat64 *to, int flags), (folder, path, to, flags), int, const char *, struct stat64 *, int)
WRAP(int, -1, statx, (int folder, const char *path, int flags, unsigned mask, struct statx *to), (folder, path, flags, mask, to), int, const char *, int, unsigned, struct statx *)
WRAP(int, -1, flock, (int fd, int how), (fd, how), int, int)
WRAP(int, -1, fchmod, (int fd, mode_t mode), (fd, mode), int, mode_t)
WRAP(int, -1, fsync, (int fd), (fd), int)
WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size), int, off_t)
WRAP(int, -1, ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
WRAP(int, -1, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), int, const char *, mode_t)
WRAP(int, -1, rename, (const char *from, const char *to), (from, to), const char *, const char *)
WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), int, const char *, int, const char *)
WRAP(int, -1, unlink, (const char *path), (path), const char *)
WRAP(int, -1, rmdir, (const char *path), (path), const char *)
WRAP(int, -1, symlink, (const char *target, const char *path), (target, path), const char *, const char *)
WRAP(int, -1, chmod, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
WRAP(ssize_t, -1, getdents64, (int fd, void *to, size_t size), (fd, to, size), int, void *, size_t)
WRAP(int, -1, statfs64, (const char *path, struct statfs64 *to), (path, to), const char *, struct statfs64 *)
WRAP(int, -1, faccessat, (int folder, const char *path, int mode, int flags), (folder, path, mode, flags), int, const char *, int, int)

ssize_t readlink(const char *restrict path, char *restrict to, size_t size)
{
    REAL(ssize_t, readlink, const char *, char *, size_t);
    static const char target[] = "/run/systemd/journal/dev-log";
    size_t length = sizeof target - 1;

    if (fails("readlink", CALLER))
        return -1;
    if (!in_module(CALLER) || strcmp(path, "/dev/log") != 0)
        return real(path, to, size);
    if (journal_path[0] == '\0') {
        errno = EINVAL;
        return -1;
    }
    if (length > size)
        length = size;
    memcpy(to, target, length);
    return (ssize_t)length;
}

WRAP(char *, NULL, realpath, (const char *path, char *to), (path, to), const char *, char *)
WRAP(DIR *, NULL, opendir, (const char *path), (path), const char *)
WRAP(struct dirent64 *, NULL, readdir64, (DIR *folder), (folder), DIR *)
WRAP(off64_t, -1, lseek64, (int fd, off64_t to, int from), (fd, to, from), int, off64_t, int)
WRAP(void *, MAP_FAILED, mmap64, (void *at, size_t size, int rights, int flags, int fd, off64_t from), (at, size, rights, flags, fd, from), void *, size_t, int, int, int, off64_t)
WRAP(int, -1, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), int, const char *, int)

/* fcntl takes an int or a pointer; both pass through a long on the systems meant here. */
#define WRAP_FCNTL(name)                                                           \
    int name(int fd, int command, ...);                                            \
    int name(int fd, int command, ...)                                             \
    {                                                                              \
        REAL(int, name, int, int, ...);                                            \
        va_list arguments;                                                         \
        long value;                                                                \
        va_start(arguments, command);                                              \
        value = va_arg(arguments, long);                                           \
        va_end(arguments);                                                         \
        return fails(#name, CALLER) ? -1 : real(fd, command, value);               \
    }

WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)

int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
    REAL(int, ioctl, int, unsigned long, ...);
    va_list arguments;
    long value;
    va_start(arguments, request);
    value = va_arg(arguments, long);
    va_end(arguments);
    return fails("ioctl", CALLER) ? -1 : real(fd, request, value);
}

long syscall(long number, ...);
long syscall(long number, ...)
{
    REAL(long, syscall, long, ...);
    va_list arguments;
    long values[6];
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        values[i] = va_arg(arguments, long);
    va_end(arguments);
    return fails("syscall", CALLER) ? -1
                                    : real(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

/* Sockets. */

WRAP(int, -1, socket, (int family, int type, int protocol), (family, type, protocol), int, int, int)
WRAP(int, -1, setsockopt, (int fd, int level, int name, const void *from, socklen_t size), (fd, level, name, from, size), int, int, int, const void *, socklen_t)
WRAP(int, -1, getsockopt, (int fd, int level, int name, void *to, socklen_t *size), (fd, level, name, to, size), int, int, int, void *, socklen_t *)
WRAP(ssize_t, -1, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags), int, const void *, size_t, int)
WRAP(ssize_t, -1, sendto, (int fd, const void *from, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t length), (fd, from, size, flags, to, length), int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t)
WRAP(ssize_t, -1, recv, (int fd, void *to, size_t size, int flags), (fd, to, part(size, CALLER), flags), int, void *, size_t, int)
WRAP(ssize_t, -1, recvfrom, (int fd, void *restrict to, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *restrict length), (fd, to, size, flags, from, length), int, void *, size_t, int, __SOCKADDR_ARG, socklen_t *)
WRAP(int, -1, getpeername, (int fd, __SOCKADDR_ARG to, socklen_t *restrict length), (fd, to, length), int, __SOCKADDR_ARG, socklen_t *restrict)
WRAP(int, -1, shutdown, (int fd, int how_much), (fd, how_much), int, int)
WRAP(int, -1, poll, (struct pollfd *fds, nfds_t count, int wait), (fds, count, wait), struct pollfd *, nfds_t, int)
int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints, struct addrinfo **restrict to)
{
    REAL(int, getaddrinfo, const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (fails("getaddrinfo", CALLER))
        return EAI_SYSTEM;
    return names != 0 && in_module(CALLER) ? names : real(node, service, hints, to);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    REAL(int, connect, int, const struct sockaddr *, socklen_t);
    const struct sockaddr *to = address.__sockaddr__;
    struct sockaddr_un other;

    if (fails("connect", CALLER))
        return -1;
    if (log_path[0] != '\0' && to != NULL && to->sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path)) {
        memset(&other, 0, sizeof other);
        memcpy(&other, to, length < sizeof other ? length : sizeof other - 1);
        if (strcmp(other.sun_path, "/dev/log") == 0) {
            memcpy(other.sun_path, log_path, sizeof log_path);
            return real(fd, (const struct sockaddr *)&other, sizeof other);
        }
        if (strcmp(other.sun_path, "/run/systemd/journal/socket") == 0) {
            memcpy(other.sun_path, journal_path, sizeof journal_path);
            return real(fd, (const struct sockaddr *)&other, sizeof other);
        }
    }
    return real(fd, to, length);
}

/* Users, time and chance. */

WRAP(int, fail_errno, getpwnam_r, (const char *name, struct passwd *to, char *buffer, size_t size, struct passwd **found), (name, to, buffer, size, found), const char *, struct passwd *, char *, size_t, struct passwd **)
WRAP(int, fail_errno, getpwuid_r, (uid_t id, struct passwd *to, char *buffer, size_t size, struct passwd **found), (id, to, buffer, size, found), uid_t, struct passwd *, char *, size_t, struct passwd **)
WRAP(int, fail_errno, getgrnam_r, (const char *name, struct group *to, char *buffer, size_t size, struct group **found), (name, to, buffer, size, found), const char *, struct group *, char *, size_t, struct group **)
WRAP(int, fail_errno, getgrgid_r, (gid_t id, struct group *to, char *buffer, size_t size, struct group **found), (id, to, buffer, size, found), gid_t, struct group *, char *, size_t, struct group **)
WRAP(int, -1, getgrouplist, (const char *user, gid_t group, gid_t *to, int *count), (user, group, to, count), const char *, gid_t, gid_t *, int *)
WRAP(ssize_t, -1, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags), void *, size_t, unsigned)
WRAP(int, -1, getresuid, (uid_t *real_id, uid_t *effective, uid_t *saved), (real_id, effective, saved), uid_t *, uid_t *, uid_t *)

int clock_gettime(clockid_t clock, struct timespec *to)
{
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int result;

    if (fails("clock_gettime", CALLER))
        return -1;
    result = real(clock, to);
    if (clock == CLOCK_REALTIME && how == BACK && fail_at != 0 && calls >= fail_at && in_module(CALLER))
        to->tv_sec -= 24 * 60 * 60;
    if (clock != CLOCK_REALTIME && later != 0 && fail_at != 0 && calls >= fail_at && in_module(CALLER))
        to->tv_sec += later;
    return result;
}

WRAP(int, -1, nanosleep, (const struct timespec *time, struct timespec *left), (time, left), const struct timespec *, struct timespec *)
WRAP(int, fail_errno, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left), (clock, flags, time, left), clockid_t, int, const struct timespec *, struct timespec *)

/* libpam, as the module sees it. */

struct pam_handle;

static void mark(const char *which)
{
    const char *folder = real_getenv("PAM_HOST_MARK");
    char path[256];

    if (folder != NULL && snprintf(path, sizeof path, "%s/%s", folder, which) < (int)sizeof path)
        (void)access(path, F_OK);
}

int pam_authenticate(struct pam_handle *handle, int flags);
int pam_authenticate(struct pam_handle *handle, int flags)
{
    REAL(int, pam_authenticate, struct pam_handle *, int);
    int code;

    mark("begin");
    code = real(handle, flags);
    mark("end");
    return code;
}

WRAP(int, PAM_SYSTEM_ERR, pam_get_user, (struct pam_handle *handle, const char **to, const char *prompt), (handle, to, prompt), struct pam_handle *, const char **, const char *)
WRAP(int, PAM_SYSTEM_ERR, pam_get_item, (const struct pam_handle *handle, int item, const void **to), (handle, item, to), const struct pam_handle *, int, const void **)
WRAP(const char *, NULL, pam_getenv, (struct pam_handle *handle, const char *name), (handle, name), struct pam_handle *, const char *)
WRAP(int, PAM_SYSTEM_ERR, pam_set_data, (struct pam_handle *handle, const char *name, void *data, void (*cleanup)(struct pam_handle *, void *, int)), (handle, name, data, cleanup), struct pam_handle *, const char *, void *, void (*)(struct pam_handle *, void *, int))
WRAP(int, PAM_SYSTEM_ERR, pam_fail_delay, (struct pam_handle *handle, unsigned usec), (handle, usec), struct pam_handle *, unsigned)
