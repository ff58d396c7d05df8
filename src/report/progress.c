#include "thaw/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define RATE_SECONDS   0.5
#define WINDOW         16
#define LINE_MOST      256

static void read_environment(thaw_progress *progress)
{
    const char *wish = getenv("THAW_PROGRESS");
    double seconds = 0;
    if (wish == NULL || *wish == '\0')
        return;
    if (strcmp(wish, "off") == 0) {
        progress->active = false;
    } else if (strcmp(wish, "bar") == 0) {
        progress->bar = true;
    } else if (thaw_parse_double(wish, &seconds) && seconds > 0) {
        progress->bar = false;
        progress->interval = seconds;
    }
}

void thaw_progress_start(thaw_progress *progress, const char *label, int64_t first, int64_t total,
                         double interval)
{
    memset(progress, 0, sizeof *progress);
    progress->active = thaw_log_get_level() <= THAW_INFO;
    progress->fd = STDERR_FILENO;
    progress->bar = isatty(progress->fd) == 1;
    progress->interval = interval > 0 ? interval : 10;
    read_environment(progress);
    thaw_copy(progress->label, sizeof progress->label, label);
    progress->first = progress->step = first;
    progress->total = total;
    progress->loss = NAN;
    progress->start = progress->last = thaw_seconds();
    progress->recent_time[0] = progress->start;
    progress->recent_step[0] = first;
    progress->recent_count = 1;
}

/* Keeps the last few moments, at least half a second apart: the rate of the recent past, not of the warm-up. */
static void remember(thaw_progress *progress, double now)
{
    int newest = (progress->recent_count - 1) % WINDOW;
    if (now - progress->recent_time[newest] < RATE_SECONDS)
        return;
    int slot = progress->recent_count++ % WINDOW;
    progress->recent_time[slot] = now;
    progress->recent_samples[slot] = progress->samples;
    progress->recent_step[slot] = progress->step;
}

static int oldest_slot(const thaw_progress *progress)
{
    return progress->recent_count > WINDOW ? progress->recent_count % WINDOW : 0;
}

static void format_eta(double seconds, char *out, size_t bytes)
{
    if (!(seconds >= 0) || seconds > 3600 * 1000.0) {
        thaw_copy(out, bytes, "--:--");
        return;
    }
    int64_t whole = (int64_t)(seconds + 0.5);
    if (whole < 3600)
        thaw_format(out, bytes, "%d:%02d", (int)(whole / 60), (int)(whole % 60));
    else
        thaw_format(out, bytes, "%d:%02d:%02d", (int)(whole / 3600), (int)(whole / 60 % 60),
                    (int)(whole % 60));
}

static void format_tail(const thaw_progress *progress, double now, char *out, size_t bytes)
{
    int oldest = oldest_slot(progress);
    double seconds = now - progress->recent_time[oldest];
    double rate = 0;
    double step_rate = 0;
    if (seconds > 1e-3) {
        rate = (double)(progress->samples - progress->recent_samples[oldest]) / seconds;
        step_rate = (double)(progress->step - progress->recent_step[oldest]) / seconds;
    }
    char loss[32] = "";
    char eta[32];
    if (isfinite(progress->loss))
        thaw_format(loss, sizeof loss, "  loss %.4f", progress->loss);
    bool done = progress->step >= progress->total;
    format_eta(done            ? now - progress->start
               : step_rate > 0 ? (double)(progress->total - progress->step) / step_rate
                               : -1,
               eta, sizeof eta);
    thaw_format(out, bytes, "%s  %.*f samples/s  %s %s", loss, rate < 100 ? 1 : 0, rate,
                done ? "took" : "eta", eta);
}

void thaw_progress_format(const thaw_progress *progress, double now, int columns, char *out,
                          size_t bytes)
{
    char tail[128];
    char head[128];
    double total = progress->total > 0 ? (double)progress->total : 1;
    double share = (double)progress->step / total;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    format_tail(progress, now, tail, sizeof tail);
    thaw_format(head, sizeof head, "%s %3d%%", progress->label, (int)(share * 100));
    int room = columns - (int)strlen(head) - (int)strlen(tail) - 4;
    if (columns > 0 && room >= 8) {
        char bar[64];
        int width = room < 40 ? room : 40;
        int full = (int)(share * width);
        memset(bar, ' ', sizeof bar);
        memset(bar, '=', (size_t)full);
        if (full < width)
            bar[full] = '>';
        bar[width] = '\0';
        thaw_format(out, bytes, "%s [%s]%s", head, bar, tail);
    } else {
        thaw_format(out, bytes, "%s  step %lld/%lld%s", head, (long long)progress->step,
                    (long long)progress->total, tail);
    }
    /* The last column stays free: some terminals wrap as soon as it is written. */
    if (columns > 1 && (size_t)columns <= bytes && strlen(out) >= (size_t)columns)
        out[columns - 1] = '\0';
}

static int terminal_columns(const thaw_progress *progress)
{
    struct winsize size = {0};
    if (progress->columns > 0)
        return progress->columns;
    if (ioctl(progress->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* A lost progress line is no error; a result of write that says so has nobody to tell. */
static void put(const thaw_progress *progress, const char *text)
{
    ssize_t written = write(progress->fd, text, strlen(text));
    (void)written;
}

static void show(thaw_progress *progress, double now)
{
    char line[LINE_MOST];
    char drawn[LINE_MOST + 16];
    thaw_progress_format(progress, now, progress->bar ? terminal_columns(progress) : 0, line,
                         sizeof line);
    if (progress->bar) {
        thaw_format(drawn, sizeof drawn, "\r%s\033[K", line);
        put(progress, drawn);
        progress->drawn = true;
    } else {
        THAW_LOG(THAW_INFO, "%s", line);
    }
    progress->last = now;
}

void thaw_progress_update(thaw_progress *progress, int64_t step, int64_t samples, double loss)
{
    if (!progress->active)
        return;
    double now = thaw_seconds();
    progress->step = step;
    progress->samples = samples;
    progress->loss = loss;
    if (now - progress->last >= (progress->bar ? REDRAW_SECONDS : progress->interval))
        show(progress, now);
    remember(progress, now);
}

void thaw_progress_hide(thaw_progress *progress)
{
    if (progress->drawn)
        put(progress, "\r\033[K");
    progress->drawn = false;
}

void thaw_progress_finish(thaw_progress *progress)
{
    if (!progress->active)
        return;
    if (progress->step > progress->first) {
        /* The closing line states the rate of the whole run. */
        progress->recent_count = 1;
        progress->recent_time[0] = progress->start;
        progress->recent_samples[0] = 0;
        progress->recent_step[0] = progress->first;
        show(progress, thaw_seconds());
        if (progress->bar)
            put(progress, "\n");
    }
    progress->active = progress->drawn = false;
}
