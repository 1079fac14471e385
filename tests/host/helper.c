/*
 * A PAM module for test stacks. Its arguments are done in their order by authenticate:
 *   authtok=TEXT  sets PAM_AUTHTOK, as pam_unix does with the password it asked for (only a module may)
 *   user=TEXT     sets PAM_USER
 *   ask=TEXT      asks, visibly; the answer has to be "yes", else PAM_AUTH_ERR (PAM_CONV_ERR without an answer)
 *   hidden=TEXT   the same, hidden
 *   say=TEXT      shows a text; a conversation that fails is PAM_CONV_ERR
 *   log=TEXT      sends a datagram to /dev/log
 *   getenv=NAME   reads a variable
 *   leak=PATH     opens a file and leaves it open
 *   print=TEXT    writes to the standard output
 *   delay=N       pam_fail_delay
 *   auth=N        what authenticate returns; 25 (PAM_IGNORE) when absent
 *   cred=N        what setcred returns; 25 when absent
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAM_SUCCESS = 0, PAM_SYSTEM_ERR = 4, PAM_AUTH_ERR = 7, PAM_CONV_ERR = 19, PAM_IGNORE = 25 };
enum { PAM_USER = 2, PAM_CONV = 5, PAM_AUTHTOK = 6 };
enum { HIDDEN = 1, VISIBLE = 2, INFO = 4 };

struct pam_handle;
struct pam_message {
    int style;
    const char *text;
};
struct pam_response {
    char *text;
    int code;
};
struct pam_conv {
    int (*call)(int, const struct pam_message **, struct pam_response **, void *);
    void *data;
};

int pam_set_item(struct pam_handle *handle, int item, const void *value);
int pam_get_item(const struct pam_handle *handle, int item, const void **value);
int pam_fail_delay(struct pam_handle *handle, unsigned microseconds);

static int converse(struct pam_handle *handle, int style, const char *text)
{
    const struct pam_conv *conv = NULL;
    const struct pam_message message = { style, text };
    const struct pam_message *messages = &message;
    struct pam_response *response = NULL;
    int result;

    if (pam_get_item(handle, PAM_CONV, (const void **)&conv) != PAM_SUCCESS || conv == NULL || conv->call == NULL)
        return PAM_CONV_ERR;
    result = conv->call(1, &messages, &response, conv->data);
    if (result == PAM_SUCCESS && style != INFO) {
        if (response == NULL || response->text == NULL)
            result = PAM_CONV_ERR;
        else if (strcmp(response->text, "yes") != 0)
            result = PAM_AUTH_ERR;
    }
    if (response != NULL) {
        free(response->text);
        free(response);
    }
    return result;
}

static int send_to_log(const char *text)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = PAM_SYSTEM_ERR;

    if (socket_fd == -1)
        return result;
    if (connect(socket_fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(socket_fd, text, strlen(text), MSG_NOSIGNAL) != -1)
        result = PAM_SUCCESS;
    close(socket_fd);
    return result;
}

static int perform(struct pam_handle *handle, const char *name, const char *value)
{
    if (strcmp(name, "authtok") == 0)
        return pam_set_item(handle, PAM_AUTHTOK, value);
    if (strcmp(name, "user") == 0)
        return pam_set_item(handle, PAM_USER, value);
    if (strcmp(name, "ask") == 0)
        return converse(handle, VISIBLE, value);
    if (strcmp(name, "hidden") == 0)
        return converse(handle, HIDDEN, value);
    if (strcmp(name, "say") == 0)
        return converse(handle, INFO, value);
    if (strcmp(name, "log") == 0)
        return send_to_log(value);
    if (strcmp(name, "getenv") == 0)
        return getenv(value), PAM_SUCCESS;
    if (strcmp(name, "leak") == 0)
        return open(value, O_RDONLY) == -1 ? PAM_SYSTEM_ERR : PAM_SUCCESS;
    if (strcmp(name, "print") == 0)
        return puts(value) == EOF || fflush(stdout) == EOF ? PAM_SYSTEM_ERR : PAM_SUCCESS;
    if (strcmp(name, "delay") == 0)
        return pam_fail_delay(handle, (unsigned)atoi(value));
    return PAM_SUCCESS;
}

static int code(const char *name, int count, const char **arguments)
{
    size_t length = strlen(name);

    for (int i = 0; i < count; i++)
        if (strncmp(arguments[i], name, length) == 0 && arguments[i][length] == '=')
            return atoi(arguments[i] + length + 1);
    return PAM_IGNORE;
}

int pam_sm_authenticate(struct pam_handle *handle, int flags, int count, const char **arguments)
{
    (void)flags;
    for (int i = 0; i < count; i++) {
        char name[16];
        const char *equals = strchr(arguments[i], '=');
        int result;

        if (equals == NULL || (size_t)(equals - arguments[i]) >= sizeof name)
            return PAM_SYSTEM_ERR;
        memcpy(name, arguments[i], (size_t)(equals - arguments[i]));
        name[equals - arguments[i]] = '\0';
        result = perform(handle, name, equals + 1);
        if (result != PAM_SUCCESS)
            return result;
    }
    return code("auth", count, arguments);
}

int pam_sm_setcred(struct pam_handle *handle, int flags, int count, const char **arguments)
{
    (void)handle;
    (void)flags;
    return code("cred", count, arguments);
}
