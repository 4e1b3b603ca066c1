/*
 * Samples which functions of the bundle are at work, in executables that are built for that: PROFILE is defined, and names are kept. Every
 * quarter of a millisecond, waiting in the kernel included, the stack of that moment goes to descriptor 9, if it is open.
 */
#include "host.h"

#ifdef PROFILE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

enum { SAMPLES = 9, INTERVAL = 250 /* microseconds */ };

size_t engine_stack(JSRuntime *runtime, char *text, size_t size);

static JSRuntime *sampled;

static void sample(int signal)
{
    (void)signal;
    static char text[16 << 10];
    const int before = errno;
    size_t length = engine_stack(sampled, text, sizeof text - 1);
    text[length++] = '\n';
    if (write(SAMPLES, text, length) < 0)
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    errno = before;
}

void profile_begin(JSContext *js)
{
    if (fcntl(SAMPLES, F_GETFD) == -1)
        return;
    sampled = JS_GetRuntime(js);
    const struct sigaction action = {.sa_handler = sample, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    const struct timeval interval = {.tv_usec = INTERVAL};
    setitimer(ITIMER_REAL, &(struct itimerval){interval, interval}, NULL);
}

#else

void profile_begin(JSContext *js)
{
    (void)js;
}

#endif
