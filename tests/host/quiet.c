/*
 * LD_PRELOAD library for pam-host where time and memory are measured: in the place of shim.c, which costs both at each
 * call of the module. It leads the log elsewhere and does nothing else.
 *
 *   PAM_HOST_LOG  where connect("/dev/log") goes; /dev/log is no link then, so that no line goes to the machine's own journal
 *
 * Modules that log by the C library's syslog do not connect through here: what they log is dropped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static ssize_t (*real_readlink)(const char *, char *, size_t);
static struct sockaddr_un log_address;

__attribute__((constructor)) static void read_settings(void)
{
    const char *path = getenv("PAM_HOST_LOG");

    real_connect = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    real_readlink = (ssize_t (*)(const char *, char *, size_t))dlsym(RTLD_NEXT, "readlink");
    if (path != NULL && strlen(path) < sizeof log_address.sun_path) {
        log_address.sun_family = AF_UNIX;
        strcpy(log_address.sun_path, path);
    }
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    const struct sockaddr *to = address.__sockaddr__;

    if (log_address.sun_family == AF_UNIX && to != NULL && to->sa_family == AF_UNIX &&
        length >= offsetof(struct sockaddr_un, sun_path) + sizeof "/dev/log" - 1 &&
        strncmp(((const struct sockaddr_un *)to)->sun_path, "/dev/log", sizeof "/dev/log" - 1) == 0)
        return real_connect(fd, (const struct sockaddr *)&log_address, sizeof log_address);
    return real_connect(fd, to, length);
}

ssize_t readlink(const char *restrict path, char *restrict to, size_t size)
{
    /* ENOENT, at the cost of the call that it stands for. */
    const char *asked = log_address.sun_family == AF_UNIX && strcmp(path, "/dev/log") == 0 ? "" : path;

    return real_readlink(asked, to, size);
}

void openlog(const char *name, int option, int facility)
{
    (void)name, (void)option, (void)facility;
}

void closelog(void)
{
}

void vsyslog(int priority, const char *format, va_list arguments)
{
    (void)priority, (void)format, (void)arguments;
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments);
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
    (void)priority, (void)flag, (void)format, (void)arguments;
}

void syslog(int priority, const char *format, ...)
{
    (void)priority, (void)format;
}

void __syslog_chk(int priority, int flag, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)priority, (void)flag, (void)format;
}
