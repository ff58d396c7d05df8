/* kern_bench.c - speed and residual of the dense functions, for tools/bench/kernels.
 *
 *   bench_kern network ARCH SIDE BATCH SECONDS BACKEND RESIDUALS   convolutions and products of a network
 *   bench_kern shapes ARCH SIDE BATCH                              the convolutions' shapes, for peer_conv.py
 *   bench_kern functions SECONDS [PART]                            all other functions, or those with PART in their name
 *   bench_kern peak                                                what they are held against
 *
 * A line a measurement: row, milliseconds, rate, unit, share of the limit, residual, words. The limit of work that is counted
 * in FLOP is the measured peak of this core; of work that is counted in bytes, a triad over as many bytes. */
#include "kern_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TIMES = 1000 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_time(bench_call *call, void *context, double seconds)
{
    static double times[MOST_TIMES];
    int count = 0;
    call(context);
    double start = thaw_seconds();
    do {
        double at = thaw_seconds();
        call(context);
        times[count++] = thaw_seconds() - at;
    } while (count < MOST_TIMES && (count < 3 || thaw_seconds() - start < seconds));
    qsort(times, (size_t)count, sizeof times[0], by_size);
    return times[count / 2];
}

float *bench_floats(int64_t count, uint64_t stream)
{
    float *data = NULL;
    if (thaw_alloc(&data, count, sizeof *data) != THAW_OK)
        thaw_abort(4);
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, stream);
    /* Drawing takes longer than what is measured: beyond this many the values repeat. */
    const int64_t drawn = count < 65521 ? count : 65521;
    for (int64_t i = 0; i < drawn; i++)
        data[i] = (float)thaw_rng_normal(&rng);
    for (int64_t i = drawn; i < count; i++)
        data[i] = data[i - drawn];
    return data;
}

double bench_residual(int64_t count, const float *a, const double *b)
{
    double worst = 0;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

void bench_print(const char *row, double seconds, double flops, double bytes, double limit,
                 double residual, const char *words)
{
    double rate = (flops > 0 ? flops : bytes) / seconds;
    char difference[32] = "-";
    if (residual >= 0)
        thaw_format(difference, sizeof difference, "%.1e", residual);
    printf("%s %.4f %.3f %s %.3f %s %s\n", row, seconds * 1e3, rate * 1e-9,
           flops > 0 ? "GFLOP/s" : "GB/s", rate / limit, difference, words);
    fflush(stdout);
}

static thaw_status network(int argc, char **argv)
{
    int64_t side = 0;
    int64_t batch = 0;
    bench_context c = {.seconds = 0};
    bool shapes = strcmp(argv[1], "shapes") == 0;
    THAW_CHECK(argc == (shapes ? 5 : 8) && thaw_parse_int(argv[3], &side) &&
                   thaw_parse_int(argv[4], &batch) &&
                   (shapes || thaw_parse_double(argv[5], &c.seconds)),
               THAW_ERR_USAGE, "see the head of tools/bench/kern_bench.c");
    thaw_kern *kern = NULL;
    thaw_kern *ref = NULL;
    thaw_str path = {0};
    THAW_TRY(thaw_kern_open(shapes ? "ref" : argv[6], &kern));
    THAW_TRY(thaw_kern_open("ref", &ref));
    thaw_kern_choices_path(kern, &path);
    thaw_kern_choices_measure(kern, true);
    thaw_kern_choices_load(kern, thaw_str_c(&path));
    c.kern = kern;
    c.ref = ref;
    c.residuals = !shapes && strcmp(argv[7], "yes") == 0;
    c.peak = shapes ? 1 : bench_peak();
    THAW_TRY(bench_network(&c, argv[2], side, batch, shapes));
    thaw_kern_choices_save(kern, thaw_str_c(&path));
    return THAW_OK;
}

static thaw_status run(int argc, char **argv)
{
    if (argc > 2 && (strcmp(argv[1], "network") == 0 || strcmp(argv[1], "shapes") == 0))
        return network(argc, argv);
    if (argc == 2 && strcmp(argv[1], "peak") == 0) {
        thaw_kern *kern = NULL;
        THAW_TRY(thaw_kern_open("auto", &kern));
        printf("%s (%s); one core: %.1f GFLOP/s, triad", kern->name, kern->cpu_kernels,
               bench_peak() * 1e-9);
        for (int64_t bytes = 1 << 18; bytes <= 1 << 28; bytes <<= 5)
            printf(" %.1f GB/s over %lld KiB", bench_triad(bytes) * 1e-9, (long long)(bytes >> 10));
        printf("\n");
        return THAW_OK;
    }
    bench_context c = {.residuals = true};
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "functions") == 0 &&
        thaw_parse_double(argv[2], &c.seconds)) {
        thaw_kern *kern = NULL;
        THAW_TRY(thaw_kern_open("auto", &kern));
        c.kern = c.ref = kern;
        c.peak = bench_peak();
        bench_functions(&c, argc == 4 ? argv[3] : "");
        return THAW_OK;
    }
    return THAW_FAIL(THAW_ERR_USAGE, "see the head of tools/bench/kern_bench.c");
}

/* Memory is left to the end of the process. */
int main(int argc, char **argv)
{
    thaw_status status = run(argc, argv);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    return thaw_status_exit_code(status);
}
