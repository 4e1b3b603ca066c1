/*
 * What the sanitizers' build has instead of the heap: beyond the image every block is malloc's, and so the sanitizer's, which sees whoever
 * reads or writes beside a block or after its end.
 */
#include "heap.h"
#include "host.h"

#ifdef __SANITIZE_ADDRESS__

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    /* A process frees nothing before it ends. What the sanitizer finds is no answer of a plugin's: those exit with 0 or 1. */
    return "detect_leaks=0:detect_stack_use_after_return=0:handle_segv=2:exitcode=99";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1:exitcode=99";
}

static void *checked_malloc(void *opaque, size_t size)
{
    (void)opaque;
    return image_roots() ? malloc(size) : heap_allocate(size);
}

static void *checked_calloc(void *opaque, size_t count, size_t size)
{
    void *memory = checked_malloc(opaque, count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

static size_t checked_room_in(const void *memory)
{
    return image_holds(memory) ? heap_room_in(memory) : malloc_usable_size((void *)(uintptr_t)memory);
}

static void checked_free(void *opaque, void *memory)
{
    (void)opaque;
    if (image_holds(memory))
        heap_free(memory);
    else
        free(memory);
}

static void *checked_realloc(void *opaque, void *memory, size_t size)
{
    if (!image_roots())
        return heap_reallocate(memory, size);
    if (!image_holds(memory))
        return realloc(memory, size);
    void *other = checked_malloc(opaque, size);
    size_t room = heap_room_in(memory);
    if (!other)
        return NULL;
    memcpy(other, memory, room < size ? room : size);
    heap_free(memory);
    return other;
}

const JSMallocFunctions image_allocator = {checked_calloc, checked_malloc, checked_free, checked_realloc, checked_room_in};

#endif
