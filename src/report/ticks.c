#include "thaw/report.h"

#include "report/chart_impl.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The 1-2-5 step that gives about `wanted` steps over the span (after Heckbert 1990, "Nice numbers for graph labels"). */
static double nice_step(double span, int wanted)
{
    double rough = span / wanted;
    double power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    double nice = lead < 1.4142 ? 1 : lead < 3.1623 ? 2 : lead < 7.0711 ? 5 : 10;
    return nice * power;
}

int thaw_ticks(double low, double high, int wanted, double ticks[THAW_TICKS], double *step)
{
    if (step != NULL)
        *step = 0;
    if (!isfinite(low) || !isfinite(high) || high < low || wanted < 1)
        return 0;
    double span = high - low;
    if (!(span > 8 * DBL_EPSILON * fmax(fabs(low), fabs(high))) || !(span > DBL_MIN * 1e3)) {
        ticks[0] = low;
        return 1;
    }
    double by = nice_step(span, wanted < THAW_TICKS ? wanted : THAW_TICKS - 1);
    /* A hair of tolerance, so that a bound that is a tick up to rounding counts as one. */
    double first = ceil(low / by - 1e-9);
    double last = floor(high / by + 1e-9);
    while (last - first >= THAW_TICKS) {
        by *= 2;
        first = ceil(low / by - 1e-9);
        last = floor(high / by + 1e-9);
    }
    int count = 0;
    for (double i = first; i <= last; i++)
        ticks[count++] = i == 0 ? 0 : i * by;
    if (step != NULL)
        *step = by;
    return count;
}

/* Within the axis, up to rounding. */
static bool is_inside(double tick, double low, double high)
{
    return tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9);
}

int thaw_ticks_log(double low, double high, int wanted, double ticks[THAW_TICKS])
{
    static const double leads[] = {1, 2, 5};
    if (!(low > 0) || !isfinite(high) || high < low || wanted < 1)
        return 0;
    int first = (int)floor(log10(low) + 1e-9);
    int last = (int)ceil(log10(high) - 1e-9);
    bool between = (last - first) * 3 <= wanted + 2;
    int most = wanted < THAW_TICKS ? wanted : THAW_TICKS;
    int every = 1;
    while (!between && (last - first) / every + 1 > most)
        every++;
    int count = 0;
    for (int power = first; power <= last; power++)
        for (int k = 0; k < (between ? 3 : 1); k++) {
            if (power % every != 0 && !between)
                continue;
            double tick = leads[k] * pow(10, power);
            if (is_inside(tick, low, high) && count < THAW_TICKS)
                ticks[count++] = tick;
        }
    return count;
}

/* Bytes grow by powers of two; an axis of them has ticks at 1, 4, 16, ... or 1, 32, 1024, ... */
static int byte_ticks_log(double low, double high, int wanted, double *ticks)
{
    static const int strides[] = {1, 2, 5, 10, 20};
    for (size_t s = 0; s < sizeof strides / sizeof *strides; s++) {
        int first = (int)ceil(log2(low) / strides[s] - 1e-9);
        int last = (int)floor(log2(high) / strides[s] + 1e-9);
        if (last - first + 1 > wanted)
            continue;
        int count = 0;
        for (int i = first; i <= last && count < THAW_TICKS; i++)
            ticks[count++] = exp2((double)i * strides[s]);
        return count;
    }
    return 0;
}

/* Round figures of seconds, minutes and hours; the fine list when the coarse one would leave the axis bare. */
static int second_ticks_log(double low, double high, int wanted, double *ticks)
{
    static const double coarse[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2,  1e-1,   1,
                                    10,   60,   600,  3600, 36000, 360000, 3600000};
    static const double fine[] = {1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2,  0.1,   0.2,   0.5,
                                  1,    2,    5,    10,   20,   30,    60,    120,   300,
                                  600,  1200, 1800, 3600, 7200, 18000, 36000, 72000, 180000};
    int count = 0;
    int finer = 0;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        finer += fine[i] >= low && fine[i] <= high;
    bool use_fine = finer > 0 && finer <= wanted + 2;
    const double *known = use_fine ? fine : coarse;
    size_t most = use_fine ? sizeof fine / sizeof *fine : sizeof coarse / sizeof *coarse;
    for (size_t i = 0; i < most; i++)
        if (known[i] >= low * (1 - 1e-9) && known[i] <= high * (1 + 1e-9) && count < THAW_TICKS)
            ticks[count++] = known[i];
    return count;
}

void thaw_extend(double *least, double *most, const double *values, int64_t count, bool log)
{
    for (int64_t i = 0; values != NULL && i < count; i++) {
        if (!isfinite(values[i]) || (log && values[i] <= 0))
            continue;
        *least = values[i] < *least ? values[i] : *least;
        *most = values[i] > *most ? values[i] : *most;
    }
}

static double unit_divisor(thaw_unit unit, double most)
{
    static const double bytes[] = {1, 0x1p10, 0x1p20, 0x1p30, 0x1p40};
    double divisor = 1;
    if (unit == THAW_UNIT_PERCENT || unit == THAW_UNIT_POINTS)
        return 0.01;
    if (unit == THAW_UNIT_SECONDS)
        return most < 120 ? 1 : most < 7200 ? 60 : 3600;
    for (size_t i = 0; unit == THAW_UNIT_BYTES && i < sizeof bytes / sizeof *bytes; i++)
        if (most >= 1.5 * bytes[i])
            divisor = bytes[i];
    return divisor;
}

static const char *suffix_of(thaw_unit unit, double divisor)
{
    static const char *const bytes[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    if (unit == THAW_UNIT_PERCENT)
        return "%";
    if (unit == THAW_UNIT_SECONDS)
        return divisor == 1 ? " s" : divisor == 60 ? " min" : " h";
    if (unit == THAW_UNIT_BYTES)
        return bytes[(int)(log2(divisor) / 10)];
    return "";
}

/* Ticks are written in one unit with just the decimals that tell them apart. */
static void write_ticks(thaw_scale *scale, double step)
{
    int decimals = step > 0 && step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    const char *suffix = suffix_of(scale->unit, scale->divisor);
    for (int i = 0; i < scale->tick_count; i++) {
        double shown = scale->ticks[i] / scale->divisor;
        char *words = scale->words[i];
        size_t room = sizeof scale->words[i];
        if (scale->unit == THAW_UNIT_COUNT)
            thaw_unit_format(shown, THAW_UNIT_COUNT, words, room);
        else if (decimals > 6 || fabs(shown) >= 1e7)
            thaw_format(words, room, "%.3g%s", shown, suffix);
        else
            thaw_format(words, room, "%s%.*f%s",
                        scale->unit == THAW_UNIT_POINTS && shown > 0 ? "+" : "", decimals, shown,
                        suffix);
    }
}

/* The unit that a single figure of bytes is written in: 1, 2^10, ... 2^40. */
static double bytes_divisor(double bytes)
{
    double divisor = 1;
    while (bytes >= divisor * 0x1p10 && divisor < 0x1p40)
        divisor *= 0x1p10;
    return divisor;
}

static void write_log_ticks(thaw_scale *scale)
{
    for (int i = 0; i < scale->tick_count; i++) {
        double tick = scale->ticks[i];
        char *words = scale->words[i];
        size_t room = sizeof scale->words[i];
        if (scale->unit == THAW_UNIT_SECONDS && tick >= 60)
            thaw_format(words, room, tick < 3600 ? "%.0f min" : "%.0f h",
                        tick / (tick < 3600 ? 60 : 3600));
        else if (scale->unit == THAW_UNIT_PERCENT || scale->unit == THAW_UNIT_POINTS)
            thaw_format(words, room, "%.4g%%", tick * 100);
        else if (scale->unit == THAW_UNIT_BYTES)
            thaw_format(words, room, "%.4g%s", tick / bytes_divisor(tick),
                        suffix_of(THAW_UNIT_BYTES, bytes_divisor(tick)));
        else
            thaw_unit_format(tick, scale->unit, words, room);
    }
}

static void init_log(thaw_scale *scale, double least, double most, int wanted)
{
    if (!(least > 0) || most < least) {
        least = 1;
        most = 10;
    }
    /* Half an octave below the least value: its bar must be seen. */
    scale->low = least / 1.5;
    scale->high = most * 1.1 > scale->low * 4 ? most * 1.1 : scale->low * 4;
    if (scale->unit == THAW_UNIT_BYTES)
        scale->tick_count = byte_ticks_log(scale->low, scale->high, wanted, scale->ticks);
    else if (scale->unit == THAW_UNIT_SECONDS)
        scale->tick_count = second_ticks_log(scale->low, scale->high, wanted, scale->ticks);
    else
        scale->tick_count = thaw_ticks_log(scale->low, scale->high, wanted, scale->ticks);
    write_log_ticks(scale);
}

void thaw_scale_init(thaw_scale *scale, double least, double most, thaw_unit unit, bool log,
                     int wanted, bool grow)
{
    memset(scale, 0, sizeof *scale);
    scale->unit = unit;
    scale->log = log;
    scale->divisor = 1;
    if (log) {
        init_log(scale, least, most, wanted);
        return;
    }
    if (most < least) {
        least = 0;
        most = 1;
    }
    if (!(most - least > 1e-9 * fmax(fabs(least), fabs(most)))) {
        double around = fabs(least) > 0 ? fabs(least) * 0.05 : 0.5;
        least -= least == 0 ? 0 : around;
        most += around;
    }
    double step = 0;
    scale->divisor = unit_divisor(unit, fmax(fabs(least), fabs(most)));
    scale->low = least / scale->divisor;
    scale->high = most / scale->divisor;
    thaw_ticks(scale->low, scale->high, wanted, scale->ticks, &step);
    /* Nobody counts half an epoch. */
    if (unit == THAW_UNIT_COUNT && scale->divisor == 1 && step < 1) {
        wanted = (int)fmax(1, floor(scale->high - scale->low));
        thaw_ticks(scale->low, scale->high, wanted, scale->ticks, &step);
    }
    if (grow && step > 0) {
        scale->low = floor(scale->low / step + 1e-9) * step;
        scale->high = ceil(scale->high / step - 1e-9) * step;
    }
    scale->tick_count = thaw_ticks(scale->low, scale->high, wanted, scale->ticks, &step);
    scale->low *= scale->divisor;
    scale->high *= scale->divisor;
    for (int i = 0; i < scale->tick_count; i++)
        scale->ticks[i] *= scale->divisor;
    write_ticks(scale, step);
}

double thaw_scale_at(const thaw_scale *scale, double value)
{
    double share = 0;
    if (scale->log && !(value > 0))
        return -1;
    if (scale->log)
        share = log(value / scale->low) / log(scale->high / scale->low);
    else
        share = (value - scale->low) / (scale->high - scale->low);
    return scale->from + share * (scale->to - scale->from);
}
