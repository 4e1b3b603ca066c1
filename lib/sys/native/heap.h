/*
 * The engine's memory: blocks cut from the image while it is made, and from the process's own pages afterwards. What is freed is given out
 * again at once, in either.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    UNIT = 16,         /* blocks are aligned to it, and their sizes are multiples */
    EXACT = 8 << 10,   /* freed blocks below this size are kept by their size */
    POOLED = 256 << 10 /* and those below this one by size classes, four to a power of two; larger ones are pages of their own */
};

/* Heads the block that the engine gets. */
struct block {
    size_t size; /* of the whole, this head among it */
    struct block *next; /* while it is free: another of its size */
};

struct heap {
    uint8_t *room, *end; /* from where blocks are cut */
    struct block *exact[EXACT / UNIT];
    struct block *pooled[4 * 5];
};

/* In the image. */
struct heap *heap(void);

void *heap_allocate(size_t size);

/* As heap_allocate(), of bytes that are 0. Of new pages none is touched. */
void *heap_allocate_zeroed(size_t size);

void *heap_reallocate(void *memory, size_t size);
void heap_free(void *memory);
size_t heap_room_in(const void *memory);

/* Says whether all blocks there are lie in the image. */
bool heap_is_whole(void);

#endif
