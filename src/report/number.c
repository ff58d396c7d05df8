#include "thaw/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* printf follows the locale of the program that uses the library; files must not. */
static void point_decimal(char *text)
{
    char *comma = strchr(text, ',');
    if (comma != NULL)
        *comma = '.';
}

void thaw_number(double value, char out[THAW_NUMBER])
{
    static const int digits[] = {9, 15, 17};
    if (!isfinite(value)) {
        thaw_copy(out, THAW_NUMBER, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 0x1p53) {
        snprintf(out, THAW_NUMBER, "%.0f", value);
        return;
    }
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++) {
        double back = 0;
        snprintf(out, THAW_NUMBER, "%.*g", digits[i], value);
        point_decimal(out);
        if (thaw_parse_double(out, &back) && back == value)
            return;
    }
}

static void format_count(double value, char *out, size_t bytes)
{
    static const struct {
        double scale;
        const char *suffix;
    } steps[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    double size = fabs(value);
    if (size < 10000) {
        snprintf(out, bytes, "%.*f", value == floor(value) ? 0 : 1, value);
        return;
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (size >= steps[i].scale * 0.9995) {
            double scaled = value / steps[i].scale;
            snprintf(out, bytes, "%.*f%s", fabs(scaled) < 99.95 ? 1 : 0, scaled, steps[i].suffix);
            return;
        }
}

static void format_seconds(double value, char *out, size_t bytes)
{
    double size = fabs(value);
    if (size == 0)
        snprintf(out, bytes, "0 s");
    else if (size < 0.9995e-3)
        snprintf(out, bytes, "%.3g us", value * 1e6);
    else if (size < 0.9995)
        snprintf(out, bytes, "%.3g ms", value * 1e3);
    else if (size < 119.95)
        snprintf(out, bytes, "%.*f s", value == floor(value) || size >= 99.95 ? 0 : 1, value);
    else if (size < 7199.5)
        snprintf(out, bytes, "%s%d min %02d s", value < 0 ? "-" : "", (int)(size + 0.5) / 60,
                 (int)(size + 0.5) % 60);
    else
        snprintf(out, bytes, "%s%.0f h %02d min", value < 0 ? "-" : "", floor((size + 30) / 3600),
                 (int)(fmod(size + 30, 3600) / 60));
}

static void format_plain(double value, char *out, size_t bytes)
{
    double size = fabs(value);
    if (value == floor(value) && size < 1e7)
        snprintf(out, bytes, "%.0f", value);
    else
        snprintf(out, bytes, "%.4g", value);
}

void thaw_unit_format(double value, thaw_unit unit, char *out, size_t bytes)
{
    if (!isfinite(value)) {
        thaw_copy(out, bytes, isnan(value) ? "\xe2\x80\x93" : value > 0 ? "inf" : "-inf");
        return;
    }
    switch (unit) {
    case THAW_UNIT_NUMBER:
        format_plain(value, out, bytes);
        break;
    case THAW_UNIT_PERCENT:
        /* Exactly nothing (a frozen block) differs from almost nothing. */
        snprintf(out, bytes, value == 0 ? "0%%" : "%.1f%%", value * 100);
        break;
    case THAW_UNIT_POINTS:
        snprintf(out, bytes, value == 0 ? "0" : "%+.1f", value * 100);
        break;
    case THAW_UNIT_COUNT:
        format_count(value, out, bytes);
        break;
    case THAW_UNIT_BYTES:
        thaw_format_bytes(value, out, bytes);
        break;
    case THAW_UNIT_SECONDS:
        format_seconds(value, out, bytes);
        break;
    }
    point_decimal(out);
}
