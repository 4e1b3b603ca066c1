/*
 * For executables, before quickjs.c, in which it stands for each `JS_REF_COUNT(p)++` and `--`: blocks of the image are for ever, so nobody
 * counts who refers to them. To count is to write, and a page of the image that is written is one that the kernel has to copy.
 */
#define IMMORTAL (1 << 30)

/* The block's count may be looked at as before: it is not 1, so nothing is changed in place that others see. */
#define COUNT_UP(p) ((void)(JS_REF_COUNT(p) < IMMORTAL && JS_REF_COUNT(p)++))
#define COUNT_DOWN(p) (JS_REF_COUNT(p) < IMMORTAL ? --JS_REF_COUNT(p) : IMMORTAL)
