/* dirty MIB KIBPS: write a working set of MIB over and over, KIBPS a second.
 *
 * The pages hold what does not compress, so that each costs its full size on
 * the wire. After a pause, such as that of a switch-over, it does not catch up
 * more than a tenth of a second: a burst there would undo the migration.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, TICK_NS = 10 * 1000 * 1000 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned char *working_set(size_t size)
{
    unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned int noise = 1;

    for (size_t i = 0; i < size; i += sizeof noise) {
        noise = noise * 1664525u + 1013904223u;
        *(unsigned int *)(memory + i) = noise;
    }
    return memory;
}

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
    double rate = argc > 2 ? strtoul(argv[2], NULL, 10) / 4.0 : 0;
    struct timespec tick = { 0, TICK_NS };
    size_t pages = size / PAGE, page = 0;
    double debt = 0, last = now();
    unsigned char *memory;

    while (size == 0 || rate == 0)
        pause();
    memory = working_set(size);
    puts("GUEST WRITES");
    fflush(stdout);
    for (;;) {
        double t = now();

        debt += (t - last) * rate;
        last = t;
        if (debt > rate / 10)
            debt = rate / 10;
        for (; debt >= 1; debt--) {
            ++*(unsigned int *)(memory + page * PAGE);
            page = (page + 1) % pages;
        }
        nanosleep(&tick, NULL);
    }
}
