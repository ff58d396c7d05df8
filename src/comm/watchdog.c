/* watchdog.c - finds ranks that hang. Only MPI_Abort is called outside the main thread, by the abort hook; what ranks tell each other
 * goes through memory that those of a node share, because ranks that hang in MPI answer no message. */
#include "thaw/comm.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/comm_impl.h"

enum { TEXT_WORDS = 6, MOST_TEXT = 32768 };
/* What a rank that tells nobody anything any more may take to end the job before the others leave by themselves. */
static const double last_resort_seconds = 10;

typedef atomic_uint_least64_t text[TEXT_WORDS];

/* One rank, as its watchdog last saw it. Words of text may be of two moments while the rank works, not once it hangs. */
typedef struct slot {
    _Alignas(64) atomic_int present; /* 0: not there yet, or gone */
    atomic_int rank, waits, patient;
    atomic_int_least64_t pid, count, epoch, step;
    text phase, what, wait;
} slot;

typedef struct board {
    _Alignas(64) atomic_int told; /* some rank of the node has printed */
    slot slots[];
} board;

struct thaw_watchdog {
    thaw_shared *segment;
    board *board;
    int mine, count; /* slots */
    double limit, tick, grace;
    int64_t *seen; /* (count) the beat at the last look */
    double *age;   /* (count) seconds of ours since it changed */
    bool told_here;
    double told_for; /* seconds since somebody printed */
    char host[64];
    char report[MOST_TEXT];
    size_t used;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ends;
    bool over, started;
};

typedef enum state { FINE, STUCK, IDLE } state;

/* ---- The board --------------------------------------------------------------------------------------------------- */

static void write_text(text to, const char *from)
{
    uint64_t words[TEXT_WORDS] = {0};
    char *bytes = (char *)words;
    size_t length = from == NULL ? 0 : strcspn(from, "(");
    length = length < sizeof words - 1 ? length : sizeof words - 1;
    for (size_t i = 0; i < length; i++)
        bytes[i] = from[i];
    for (int i = 0; i < TEXT_WORDS; i++)
        atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
}

typedef struct words {
    char text[TEXT_WORDS * 8];
} words;

static words read_text(text from)
{
    words out;
    for (int i = 0; i < TEXT_WORDS; i++) {
        const uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
        memcpy(out.text + 8 * i, &word, 8);
    }
    out.text[sizeof out.text - 1] = '\0';
    return out;
}

static void publish(const thaw_watchdog *w)
{
    slot *s = &w->board->slots[w->mine];
    thaw_where where;
    thaw_beat_look(&where);
    write_text(s->phase, where.phase);
    write_text(s->what, where.what);
    write_text(s->wait, where.wait);
    atomic_store(&s->epoch, where.epoch);
    atomic_store(&s->step, where.step);
    atomic_store(&s->waits, where.wait != NULL);
    atomic_store(&s->patient, where.patient);
    atomic_store(&s->count, where.count);
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

static void grow_older(thaw_watchdog *w, double passed)
{
    for (int i = 0; i < w->count; i++) {
        const int64_t count = atomic_load(&w->board->slots[i].count);
        w->age[i] = count == w->seen[i] ? w->age[i] + passed : 0;
        w->seen[i] = count;
    }
}

static bool is_old(const thaw_watchdog *w, int i, double limit)
{
    const slot *s = &w->board->slots[i];
    return atomic_load(&s->present) && !atomic_load(&s->patient) && w->age[i] >= limit;
}

static state judge(const thaw_watchdog *w, double limit)
{
    bool any = false, all = true;
    for (int i = 0; i < w->count; i++) {
        const slot *s = &w->board->slots[i];
        const bool old = is_old(w, i, limit);
        if (old && !atomic_load(&s->waits))
            return STUCK;
        any = any || old;
        all = all && (old || !atomic_load(&s->present) || atomic_load(&s->patient));
    }
    return any && all ? IDLE : FINE;
}

/* The letter that the system gives the state of a process: T stopped, t held by a debugger; '?' where it does not say. */
static char process_state(int64_t pid)
{
    char path[64], line[256] = "";
    thaw_format(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return '?';
    const char *end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return end != NULL && end[1] == ' ' ? end[2] : '?';
}

static char state_of(const thaw_watchdog *w, int i)
{
    return process_state(atomic_load(&w->board->slots[i].pid));
}

static bool debugged(const thaw_watchdog *w)
{
    for (int i = 0; i < w->count; i++) {
        if (state_of(w, i) == 't')
            return true;
    }
    return false;
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

/* Into a fixed place: the thread that hangs may hold the lock of the heap. */
static void say(thaw_watchdog *w, const char *format, ...) THAW_PRINTF(2, 3);
static void say(thaw_watchdog *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int more = vsnprintf(w->report + w->used, MOST_TEXT - w->used, format, args);
    va_end(args);
    if (more > 0)
        w->used += (size_t)more < MOST_TEXT - w->used ? (size_t)more : MOST_TEXT - w->used - 1;
}

/* Not by stdio, whose lock the thread that hangs may hold. */
static void print(thaw_watchdog *w)
{
    size_t at = 0;
    while (at < w->used) {
        const ssize_t written = write(STDERR_FILENO, w->report + at, w->used - at);
        if (written <= 0)
            break;
        at += (size_t)written;
    }
    w->used = 0;
}

/* Where a rank is: "training, epoch 0, step 17, at conv2d". That of a stopped one is from a moment before it was stopped. */
static void say_where(thaw_watchdog *w, int i)
{
    slot *s = &w->board->slots[i];
    const bool stopped = state_of(w, i) == 'T';
    if (stopped)
        say(w, "stopped by a signal, last seen in ");
    const words what = read_text(s->what);
    say(w, "%s", read_text(s->phase).text);
    if (atomic_load(&s->step) >= 0)
        say(w, ", epoch %lld, step %lld", (long long)atomic_load(&s->epoch),
            (long long)atomic_load(&s->step));
    if (what.text[0] != '\0')
        say(w, ", at %s", what.text);
    if (atomic_load(&s->waits) && !stopped)
        say(w, ", waits in %s", read_text(s->wait).text);
}

/* Smaller: nearer to the cause. A stopped process, then one that works, then those that wait for others. */
static int suspicion(const thaw_watchdog *w, int i)
{
    const char letter = state_of(w, i);
    if (letter == 'T')
        return 0;
    return atomic_load(&w->board->slots[i].waits) ? 2 : 1;
}

static bool is_before(const thaw_watchdog *w, int a, int b)
{
    const int sa = suspicion(w, a), sb = suspicion(w, b);
    if (sa != sb)
        return sa < sb;
    return w->seen[a] != w->seen[b] ? w->seen[a] < w->seen[b] : a < b;
}

/* The next one after `last` (-1: the first) in the order of is_before; -1: none. */
static int next_after(const thaw_watchdog *w, int last)
{
    int best = -1;
    for (int i = 0; i < w->count; i++) {
        if (!atomic_load(&w->board->slots[i].present) || (last >= 0 && !is_before(w, last, i)))
            continue;
        if (best < 0 || is_before(w, i, best))
            best = i;
    }
    return best;
}

static void say_ranks(thaw_watchdog *w)
{
    for (int i = next_after(w, -1); i >= 0; i = next_after(w, i)) {
        slot *s = &w->board->slots[i];
        say(w, "  rank %d (pid %lld on %s): ", atomic_load(&s->rank),
            (long long)atomic_load(&s->pid), w->host);
        say_where(w, i);
        say(w, "; beat %lld, unchanged for %.0f s%s\n", (long long)w->seen[i], w->age[i],
            atomic_load(&s->patient) ? ", may wait" : "");
    }
}

static void say_culprit(thaw_watchdog *w)
{
    const int i = next_after(w, -1);
    const slot *s = &w->board->slots[i];
    say(w,
        "thaw: error: rank %d (pid %lld on %s) made no progress for %g s: ", atomic_load(&s->rank),
        (long long)atomic_load(&s->pid), w->host, w->limit);
    say_where(w, i);
    say(w, "; the job ends here (train.watchdog; docs/faults.md)\n");
}

static void tell(thaw_watchdog *w, state found)
{
    if (found == STUCK || suspicion(w, next_after(w, -1)) == 0)
        say_culprit(w);
    else
        say(w, "thaw: all ranks on %s wait for others since %g s\n", w->host, w->limit);
    say(w, "thaw: where the ranks on %s are, the likely cause first:\n", w->host);
    say_ranks(w);
    print(w);
}

static void end_job(thaw_watchdog *w, state found)
{
    if (found == IDLE && suspicion(w, next_after(w, -1)) != 0) {
        say(w,
            "thaw: error: no rank on %s made progress for %g s: all wait for each other or for "
            "another node; the job ends here (train.watchdog; docs/faults.md)\n",
            w->host, w->limit);
        print(w);
    }
    thaw_abort(1);
}

/* Prints first and ends the job a little later, so that other nodes can print, too. */
static void act(thaw_watchdog *w, double passed)
{
    const state found = judge(w, w->limit);
    if (found == FINE) {
        w->told_for = 0;
        return;
    }
    if (debugged(w)) {
        memset(w->age, 0, (size_t)w->count * sizeof *w->age);
        return;
    }
    w->told_for += passed;
    if (atomic_exchange(&w->board->told, 1) == 0) {
        w->told_here = true;
        tell(w, found);
    }
    const double wait = w->told_here ? 0 : last_resort_seconds;
    if (w->told_for >= wait + (found == STUCK ? 0.5 : 1.0) * w->grace)
        end_job(w, found);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

/* True at the end. */
static bool sleep_once(thaw_watchdog *w)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + (int64_t)(w->tick * 1e9);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&w->lock);
    int code = 0;
    while (!w->over && code == 0)
        code = pthread_cond_timedwait(&w->ends, &w->lock, &until);
    const bool over = w->over;
    pthread_mutex_unlock(&w->lock);
    return over;
}

static void *watch(void *context)
{
    thaw_watchdog *w = context;
    double last = thaw_seconds();
    while (!sleep_once(w)) {
        const double now = thaw_seconds();
        /* What is longer than two ticks, this process was stopped, and the others perhaps with it. */
        const double passed = fmin(now - last, 2 * w->tick);
        last = now;
        publish(w);
        grow_older(w, passed);
        act(w, passed);
    }
    return NULL;
}

static thaw_status start_thread(thaw_watchdog *w)
{
    sigset_t all, before;
    pthread_condattr_t monotonic;
    THAW_CHECK(pthread_condattr_init(&monotonic) == 0, THAW_ERR_RESOURCE,
               "no memory for the watchdog");
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->ends, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    /* Signals go to the main thread, whose handlers they are for. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, watch, w) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    THAW_CHECK(w->started, THAW_ERR_RESOURCE,
               "cannot start a thread for the watchdog (ulimit -u?); train.watchdog: 0 does "
               "without");
    return THAW_OK;
}

static thaw_status allocate(thaw_watchdog **out, int count)
{
    THAW_TRY(thaw_alloc(out, 1, sizeof **out));
    THAW_TRY(thaw_alloc(&(*out)->seen, count, sizeof *(*out)->seen));
    return thaw_alloc(&(*out)->age, count, sizeof *(*out)->age);
}

/* Where there is no shared memory a rank sees itself alone. */
static void take_place(const thaw_comm *comm, double seconds, thaw_watchdog *w)
{
    const bool alone = thaw_shared_is_private(w->segment);
    w->board = thaw_shared_data(w->segment);
    w->count = alone ? 1 : comm->node_size;
    w->mine = alone ? 0 : comm->node_rank;
    w->limit = seconds;
    w->tick = fmin(fmax(seconds / 40, 0.02), 1.0);
    w->grace = fmin(fmax(seconds / 10, 0.5), 5.0);
    (void)gethostname(w->host, sizeof w->host - 1);
    slot *s = &w->board->slots[w->mine];
    atomic_store(&s->rank, comm->world_rank);
    atomic_store(&s->pid, (int64_t)getpid());
    publish(w);
    atomic_store(&s->present, 1);
}

thaw_status thaw_watchdog_start(thaw_comm *comm, double seconds, thaw_watchdog **out)
{
    thaw_watchdog *w = NULL;
    int64_t most = comm->node_size;
    *out = NULL;
    if (seconds <= 0 || !thaw_beat_begin()) /* uniform */
        return THAW_OK;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, allocate(&w, comm->node_size)));
    thaw_allreduce_max_int64(comm, &most, 1);
    THAW_TRY_TO(
        thaw_shared_new(comm, (int64_t)sizeof(board) + most * (int64_t)sizeof(slot), &w->segment));
    take_place(comm, seconds, w);
    THAW_TRY_TO(thaw_agree(comm, start_thread(w)));
    *out = w;
    w = NULL;
done:
    if (status != THAW_OK) {
        thaw_watchdog_stop(&w);
        thaw_beat_end();
    }
    return status;
}

void thaw_watchdog_stop(thaw_watchdog **watchdog)
{
    thaw_watchdog *w = *watchdog;
    if (w == NULL)
        return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->over = true;
        pthread_cond_signal(&w->ends);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        pthread_cond_destroy(&w->ends);
        pthread_mutex_destroy(&w->lock);
        thaw_beat_end();
    }
    if (w->board != NULL)
        atomic_store(&w->board->slots[w->mine].present, 0);
    thaw_shared_free(&w->segment);
    thaw_free(&w->age);
    thaw_free(&w->seen);
    thaw_free(watchdog);
}
