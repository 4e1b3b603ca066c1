/*
 * The heap of a started engine, kept in the executable: every pointer in it holds, since code and image lie at the same addresses in every
 * process.
 */
#include "heap.h"
#include "host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The start of the image. */
struct header {
    size_t used; /* bytes, this header among them; 0 if there is no image */
    struct roots roots;
    struct heap heap;
};

extern uint8_t image_start[], image_end[];

static struct header *header(void)
{
    return (struct header *)(void *)image_start;
}

struct heap *heap(void)
{
    return &header()->heap;
}

bool image_holds(const void *memory)
{
    return (const uint8_t *)memory >= image_start && (const uint8_t *)memory < image_end;
}

#ifndef __SANITIZE_ADDRESS__

static void *image_malloc(void *opaque, size_t size)
{
    (void)opaque;
    return heap_allocate(size);
}

/* The engine has seen to it that the product does not overflow. */
static void *image_calloc(void *opaque, size_t count, size_t size)
{
    (void)opaque;
    return heap_allocate_zeroed(count * size);
}

static void image_free(void *opaque, void *memory)
{
    (void)opaque;
    heap_free(memory);
}

static void *image_realloc(void *opaque, void *memory, size_t size)
{
    (void)opaque;
    return heap_reallocate(memory, size);
}

const JSMallocFunctions image_allocator = {image_calloc, image_malloc, image_free, image_realloc, heap_room_in};

#endif

struct roots *image_roots(void)
{
    return header()->used ? &header()->roots : NULL;
}

struct roots *image_begin(void)
{
    size_t first = (sizeof(struct header) + UNIT - 1) & ~(size_t)(UNIT - 1);
    heap()->room = image_start + first;
    heap()->end = image_end;
    return &header()->roots;
}

/*
 * Clears the engine's note of where the stack begins, which every process makes anew, and which would make images of the same sources
 * differ. Nothing else may point at the stack.
 */
static bool forget_stack(const void *stack)
{
    const uintptr_t around = (uintptr_t)stack, near = 1 << 20;
    size_t *words = (size_t *)(void *)image_start, found = 0;
    for (size_t at = 0; at < header()->used / sizeof *words; at++) {
        if (words[at] - (around - near) >= 2 * near)
            continue;
        words[at] = 0;
        found++;
    }
    if (found > 1)
        fprintf(stderr, "%zu words of the image point at the stack\n", found);
    return found <= 1;
}

bool image_write(int fd, const void *stack)
{
    size_t used = (size_t)(heap()->room - image_start);
    *heap() = (struct heap){0}; /* a process has pages of its own, and leaves alone what is free between blocks of the image */
    header()->used = used;
    if (!heap_is_whole())
        fputs("the image has not room for all blocks\n", stderr);
    if (!heap_is_whole() || !forget_stack(stack))
        return false;
    for (size_t at = 0; at < used;) {
        ssize_t count;
        RETRY(count, write(fd, image_start + at, used - at));
        if (count == -1) {
            perror("write the image");
            return false;
        }
        at += (size_t)count;
    }
    return true;
}
