/* replay FOLDER [MUTATIONS]: every file of the folder through the fuzz target, then mutations of each: bytes changed, removed, doubled,
 * taken from another file, numbers made extreme. A crash names the file and the mutation; the same ones run every time. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_test.h"

enum { MOST_FILES = 256, MOST_BYTES = 1 << 20, SECONDS = 20 };

typedef struct seed {
    char name[256];
    uint8_t *bytes;
    size_t size;
} seed;

static seed seeds[MOST_FILES];
static int seed_count;
static char doing[512];

static void tell(int number)
{
    const char *what = number == SIGALRM ? "took too long: " : "crashed: ";
    (void)!write(2, what, strlen(what));
    (void)!write(2, doing, strlen(doing));
    (void)!write(2, "\n", 1);
    _exit(1);
}

static void run(const uint8_t *bytes, size_t size)
{
    (void)alarm(SECONDS);
    (void)LLVMFuzzerTestOneInput(bytes, size);
    (void)alarm(0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const seed *)a)->name, ((const seed *)b)->name);
}

static int read_seeds(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return 1;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL && seed_count < MOST_FILES;) {
        char path[1024];
        if (e->d_name[0] == '.' || !thaw_format(path, sizeof path, "%s/%s", folder, e->d_name))
            continue;
        FILE *file = fopen(path, "rb");
        seed *s = &seeds[seed_count];
        s->bytes = malloc(MOST_BYTES);
        if (file == NULL || s->bytes == NULL) {
            perror(path);
            return 1;
        }
        s->size = fread(s->bytes, 1, MOST_BYTES, file);
        (void)thaw_copy(s->name, sizeof s->name, e->d_name);
        (void)fclose(file);
        seed_count++;
    }
    (void)closedir(dir);
    qsort(seeds, (size_t)seed_count, sizeof seeds[0], by_name);
    return 0;
}

static size_t place(thaw_rng *rng, size_t size)
{
    return size == 0 ? 0 : (size_t)thaw_rng_below(rng, (int64_t)size);
}

/* Some changes to bytes[0..size), which has room for MOST_BYTES; the new size. */
static size_t mutate(thaw_rng *rng, uint8_t *bytes, size_t size)
{
    static const uint8_t extremes[][8] = {{0},
                                          {255, 255, 255, 255, 255, 255, 255, 255},
                                          {255, 255, 255, 255, 255, 255, 255, 127},
                                          {0, 0, 0, 0, 0, 0, 0, 128}};
    for (int64_t n = 1 + thaw_rng_below(rng, 4); n > 0 && size > 0; n--) {
        const size_t at = place(rng, size);
        const size_t length = 1 + place(rng, size - at < 64 ? size - at : 64);
        const seed *other = &seeds[place(rng, (size_t)seed_count)];
        const size_t from = place(rng, other->size);
        switch (thaw_rng_below(rng, 6)) {
        case 0:
            bytes[at] = (uint8_t)thaw_rng_below(rng, 256);
            break;
        case 1:
            bytes[at] ^= (uint8_t)(1 << thaw_rng_below(rng, 8));
            break;
        case 2: /* truncate or cut out */
            memmove(bytes + at, bytes + at + length, size - at - length);
            size -= length;
            break;
        case 3:
            if (size + length <= MOST_BYTES) {
                memmove(bytes + at + length, bytes + at, size - at);
                size += length;
            }
            break;
        case 4:
            memcpy(bytes + at, extremes[thaw_rng_below(rng, 4)], size - at < 8 ? size - at : 8);
            break;
        default:
            if (from + length <= other->size)
                memcpy(bytes + at, other->bytes + from, length);
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int64_t mutations = 200;
    static uint8_t bytes[MOST_BYTES];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], tell);
    if (argc > 2 && !thaw_parse_int(argv[2], &mutations)) {
        printf("%s is no number of mutations\n", argv[2]);
        return 2;
    }
    if (read_seeds(folder) != 0 || seed_count == 0) {
        printf("%s: no seeds\n", folder);
        return 1;
    }
    for (int s = 0; s < seed_count; s++) {
        (void)thaw_format(doing, sizeof doing, "%s as it is", seeds[s].name);
        run(seeds[s].bytes, seeds[s].size);
        for (int64_t m = 0; m < mutations; m++) {
            thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, (uint32_t)s, (uint64_t)m);
            memcpy(bytes, seeds[s].bytes, seeds[s].size);
            (void)thaw_format(doing, sizeof doing, "%s, mutation %lld", seeds[s].name,
                              (long long)m);
            run(bytes, mutate(&rng, bytes, seeds[s].size));
        }
    }
    printf("%d seeds, %lld mutations each\n", seed_count, (long long)mutations);
    return 0;
}
