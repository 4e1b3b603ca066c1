#include "heap.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    CHUNK = 256 << 10,
    LIMIT = 58 << 20 /* bytes that a process may have of the kernel: with all else it stays below 64 MB */
};

/* So much a process has without asking the kernel. */
static uint8_t first_chunk[CHUNK] __attribute__((aligned(PAGE)));
static size_t chunks;

/* Bytes that the kernel gave. */
static size_t held;

/* Memory that is given out once memory was refused, so that the process can take back what it began, and say so. */
static uint8_t reserve[CHUNK] __attribute__((aligned(PAGE)));
static bool refused, reserve_used;

static struct block *block_of(const void *memory)
{
    return (struct block *)((uintptr_t)memory - sizeof(struct block));
}

/* The class of a size from EXACT to POOLED, and the size that blocks of it have. */
static size_t class_of(size_t *size)
{
    size_t power = EXACT, class = 0;
    for (; *size > 2 * power; power *= 2)
        class += 4;
    size_t quarter = (*size - power + power / 4 - 1) / (power / 4);
    if (quarter == 0)
        quarter = 1;
    *size = power + quarter * (power / 4);
    return class + quarter - 1;
}

/* The list of free blocks for that size, which is rounded up to what they have. */
static struct block **list_for(size_t *size)
{
    if (*size < EXACT)
        return &heap()->exact[*size / UNIT];
    return &heap()->pooled[class_of(size)];
}

/* Changes what the process holds from `before` to `after` bytes, if it may. */
static bool may_hold(size_t before, size_t after)
{
    if (after > before && after - before > LIMIT - held)
        return false;
    held = held - before + after;
    return true;
}

static void *pages(size_t size)
{
    if (!may_hold(0, size))
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        return memory;
    may_hold(size, 0);
    return NULL;
}

static size_t whole_pages(size_t size)
{
    return (size + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* Makes room for a pooled block. What is left of the room before is lost. */
static bool make_room(void)
{
    size_t size = chunks < 4 ? CHUNK : 4 * CHUNK;
    uint8_t *chunk = chunks == 0 ? first_chunk : pages(size);
    if (!chunk && refused && !reserve_used) {
        reserve_used = true;
        chunk = reserve;
        size = sizeof reserve;
    }
    if (!chunk)
        return false;
    chunks++;
    heap()->room = chunk;
    heap()->end = chunk + size;
    return true;
}

static struct block *cut(size_t size)
{
    struct heap *from = heap();
    if (size > (size_t)(from->end - from->room) && !make_room())
        return NULL;
    struct block *block = (struct block *)(void *)from->room;
    from->room += size;
    return block;
}

/* A block, of which `*zeroed` says if nobody has had its bytes before. */
static struct block *new_block(size_t wanted, bool *zeroed)
{
    if (wanted > PTRDIFF_MAX / 2)
        return NULL;
    size_t size = (wanted + sizeof(struct block) + UNIT - 1) & ~(size_t)(UNIT - 1);
    struct block *block;
    *zeroed = true;
    if (size > POOLED) {
        size = whole_pages(size);
        block = pages(size);
    } else {
        struct block **list = list_for(&size);
        block = *list;
        *zeroed = !block;
        if (block)
            *list = block->next;
        else
            block = cut(size);
    }
    if (block)
        block->size = size;
    return block;
}

void *heap_allocate(size_t wanted)
{
    bool zeroed;
    struct block *block = new_block(wanted, &zeroed);
    refused |= !block;
    return block ? block + 1 : NULL;
}

void *heap_allocate_zeroed(size_t wanted)
{
    bool zeroed;
    struct block *block = new_block(wanted, &zeroed);
    refused |= !block;
    if (!block)
        return NULL;
    return zeroed ? block + 1 : memset(block + 1, 0, wanted);
}

void heap_free(void *memory)
{
    if (!memory)
        return;
    struct block *block = block_of(memory);
    size_t size = block->size;
    if (size > POOLED) {
        munmap(block, size);
        may_hold(size, 0);
        return;
    }
    struct block **list = list_for(&size);
    block->next = *list;
    *list = block;
}

size_t heap_room_in(const void *memory)
{
    return memory ? block_of(memory)->size - sizeof(struct block) : 0;
}

/* Gives a block that is pages of its own another size; its address may be another then. */
static void *resize_pages(struct block *block, size_t wanted)
{
    const size_t before = block->size, after = whole_pages(wanted + sizeof *block);
    if (!may_hold(before, after))
        return NULL;
    struct block *resized = mremap(block, before, after, MREMAP_MAYMOVE);
    if (resized == MAP_FAILED) {
        may_hold(after, before);
        return NULL;
    }
    resized->size = after;
    return resized + 1;
}

static void *reallocate(void *memory, size_t wanted)
{
    size_t room = heap_room_in(memory);
    if (memory && wanted <= room && wanted >= room / 2)
        return memory;
    if (memory && block_of(memory)->size > POOLED && wanted + sizeof(struct block) > POOLED && wanted < PTRDIFF_MAX / 2)
        return resize_pages(block_of(memory), wanted);
    void *other = heap_allocate(wanted);
    if (!other)
        return NULL;
    if (memory)
        memcpy(other, memory, room < wanted ? room : wanted);
    heap_free(memory);
    return other;
}

void *heap_reallocate(void *memory, size_t wanted)
{
    void *other = reallocate(memory, wanted);
    refused |= !other;
    return other;
}

bool heap_is_whole(void)
{
    return chunks == 0 && held == 0;
}
