/*
 * Runs programs as a container runtime runs plugins, through pipes, and tells what they took: for scripts/bench, which
 * runs under Node.js. This is small, waits in the kernel and starts a program without copying anything of its own, so
 * that next to nothing of what is measured is the measurer's. A process's peak of memory begins with that of the one
 * that started it: here less than 1 MB.
 *
 * stdin says what to run, in strings that end with NUL. For each program: the file that becomes its stdin, the number
 * of its arguments, the arguments, the number of its variables, the variables. All are started, one after the other,
 * then waited for.
 *
 * stdout tells of each program, in that order. First a line of numbers: nanoseconds from the start of the first program
 * until this one was started, and from then until it has ended; microseconds of CPU time, its own and of those it waited for; KiB of memory at
 * the peak of the largest of them; wait status; length of its output. Then the output.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUEST = 1 << 20, MAX_PROGRAMS = 128, MAX_STRINGS = 64, PIPE_BYTES = 1 << 16 };

struct program {
    const char *input;
    char *argv[MAX_STRINGS + 1];
    char *env[MAX_STRINGS + 1];
    int in, out; /* the pipes' ends on this side */
    pid_t pid;
    long long started;
    long long wall; /* from then until it has ended */
    int status;
    struct rusage usage;
};

static char request[MAX_REQUEST + 1];
static struct program programs[MAX_PROGRAMS];
static char buffer[PIPE_BYTES];

/* Returns nanoseconds by a clock that nobody sets. */
static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Returns the string at `*at`, and moves `*at` behind it. */
static char *next(char **at)
{
    char *string = *at;
    *at += strlen(string) + 1;
    return string;
}

/* Reads a number, and so many strings into `list`, which ends with NULL. */
static void next_list(char **at, char *list[MAX_STRINGS + 1])
{
    int count = atoi(next(at));
    if (count < 0 || count > MAX_STRINGS)
        errx(2, "%d strings", count);
    for (int i = 0; i < count; i++)
        list[i] = next(at);
    list[count] = NULL;
}

/* Reads stdin into `programs`, and returns how many there are. */
static int read_request(void)
{
    size_t length = fread(request, 1, MAX_REQUEST, stdin);
    int count = 0;
    if (!feof(stdin))
        errx(2, "the request is too long");
    for (char *at = request; at < request + length; count++) {
        if (count == MAX_PROGRAMS)
            errx(2, "too many programs");
        programs[count].input = next(&at);
        next_list(&at, programs[count].argv);
        next_list(&at, programs[count].env);
    }
    return count;
}

/* Copies a file into a pipe until the other side is closed: piece by piece, so that none of it stays in memory. */
static void feed(int file, int pipe)
{
    ssize_t length;
    while ((length = read(file, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < length;) {
            ssize_t written = write(pipe, buffer + done, (size_t)(length - done));
            if (written < 0 && errno == EPIPE)
                return;
            if (written < 0)
                err(2, "write");
            done += written;
        }
    }
}

/* Starts a program with pipes as its stdin and stdout, nobody who reads its stderr, and SIGPIPE as usual. */
static void start(struct program *program)
{
    int in[2], out[2];
    sigset_t pipe_signal;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        err(2, "pipe2");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

    program->started = now();
    errno = posix_spawn(&program->pid, program->argv[0], &actions, &attributes, program->argv, program->env);
    if (errno)
        err(2, "%s", program->argv[0]);
    close(in[0]);
    close(out[1]);
    program->in = in[1];
    program->out = out[0];
}

/* Waits for the end of whichever of the programs ends next. */
static void await_next(int count)
{
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, 0, &usage);
    if (pid < 0)
        err(2, "wait4");
    for (int i = 0; i < count; i++) {
        if (programs[i].pid != pid)
            continue;
        programs[i].wall = now() - programs[i].started;
        programs[i].status = status;
        programs[i].usage = usage;
    }
}

static long long microseconds(struct timeval time)
{
    return time.tv_sec * 1000000LL + time.tv_usec;
}

/* Tells of a program that has ended. What it wrote has waited in the pipe, whose 64 KiB no answer fills. */
static void tell(struct program *program)
{
    const struct rusage *usage = &program->usage;
    long long cpu = microseconds(usage->ru_utime) + microseconds(usage->ru_stime);
    /* Whom the program left behind may still have the pipe open. */
    fcntl(program->out, F_SETFL, O_NONBLOCK);
    ssize_t got = read(program->out, buffer, sizeof buffer);
    size_t length = got < 0 ? 0 : (size_t)got;
    printf("%lld %lld %lld %ld %d %zu\n", program->started - programs[0].started, program->wall, cpu, usage->ru_maxrss, program->status, length);
    fwrite(buffer, 1, length, stdout);
}

int main(void)
{
    int files[MAX_PROGRAMS];
    int count = read_request();
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < count; i++)
        if ((files[i] = open(programs[i].input, O_RDONLY | O_CLOEXEC)) < 0)
            err(2, "%s", programs[i].input);

    for (int i = 0; i < count; i++) {
        start(&programs[i]);
        feed(files[i], programs[i].in);
        close(programs[i].in);
    }
    for (int i = 0; i < count; i++)
        await_next(count);
    for (int i = 0; i < count; i++)
        tell(&programs[i]);
    return fflush(stdout) != 0;
}
