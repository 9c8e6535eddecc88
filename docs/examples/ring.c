/* Adds up the bytes of a picture in a ring: cc -O2 ring.c -o ring && ./ring SEGMENT OFFSET GENERATION BYTES,
   the four fields of `ring` in the header. Exits with 3 if the writer has overtaken us. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct ring { char magic[8]; uint32_t version, slots; uint64_t stride, first; }; /* little-endian, at 0 */
struct slot { _Atomic uint64_t generation; uint8_t unused[56]; uint8_t pixels[]; };

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    char name[256] = "/";
    strncat(name, argv[1], sizeof name - 2);
    uint64_t offset = strtoull(argv[2], NULL, 10), generation = strtoull(argv[3], NULL, 10);
    uint64_t bytes = strtoull(argv[4], NULL, 10), sum = 0;
    struct stat size;
    int file = shm_open(name, O_RDONLY, 0); /* kept open, and mapped once, while the segment is the same */
    if (file < 0 || fstat(file, &size) != 0 || size.st_size < 4096) return 1;
    const uint8_t *memory = mmap(NULL, size.st_size, PROT_READ, MAP_SHARED, file, 0);
    const struct ring *ring = (const void *)memory;
    if (memory == MAP_FAILED || memcmp(ring->magic, "SLRING\0\1", 8) != 0 || ring->version != 1) return 1;
    uint64_t place = offset - ring->first;
    if (offset < ring->first || place % ring->stride || place / ring->stride >= ring->slots) return 1;
    if (bytes > ring->stride - sizeof(struct slot)) return 1;
    const struct slot *slot = (const void *)(memory + offset);
    if (atomic_load_explicit(&slot->generation, memory_order_acquire) != generation) return 3;
    for (uint64_t i = 0; i < bytes; i++) sum += slot->pixels[i]; /* work, or memcpy and work later */
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&slot->generation, memory_order_relaxed) != generation) return 3;
    printf("%llu\n", (unsigned long long)sum);
    return 0;
}
