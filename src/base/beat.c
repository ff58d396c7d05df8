/* beat.c - where the watched thread of this process is. It writes without a lock and allocates nothing; a watchdog reads. */
#include "thaw/base.h"

#include <stdatomic.h>
#include <unistd.h>

static struct {
    atomic_bool taken;
    atomic_bool patient;
    atomic_bool lent; /* the watched thread waits for one that helps */
    atomic_int_least64_t count, epoch, step;
    _Atomic(const char *) phase, what, wait;
} beat;

/* Beats of other threads (of loops, of readers) would hide that the one that matters hangs. */
static _Thread_local bool beats_here, helps;

bool thaw_beat_begin(void)
{
    if (atomic_exchange(&beat.taken, true))
        return false;
    beats_here = true;
    atomic_store(&beat.patient, false);
    atomic_store(&beat.lent, false);
    atomic_store(&beat.epoch, -1);
    atomic_store(&beat.step, -1);
    atomic_store(&beat.phase, "starting");
    atomic_store(&beat.what, "");
    atomic_store(&beat.wait, NULL);
    return true;
}

void thaw_beat_end(void)
{
    beats_here = false;
    atomic_store(&beat.taken, false);
}

static void count_one(void)
{
    /* One writer: no need of an atomic addition, which costs more in the loop over operators. Where several help at a time, one may hide
     * another's beat; the count changes all the same. */
    const int64_t count = atomic_load_explicit(&beat.count, memory_order_relaxed);
    atomic_store_explicit(&beat.count, count + 1, memory_order_release);
}

void thaw_beat(const char *what)
{
    if (!beats_here && !(helps && atomic_load_explicit(&beat.lent, memory_order_relaxed)))
        return;
    atomic_store_explicit(&beat.what, what, memory_order_relaxed);
    count_one();
    if (thaw_fault("hang_beat")) {
        while (true)
            (void)pause();
    }
}

const char *thaw_beat_phase(const char *phase)
{
    if (!beats_here)
        return phase;
    const char *before = atomic_exchange_explicit(&beat.phase, phase, memory_order_relaxed);
    thaw_beat("");
    return before;
}

void thaw_beat_position(int64_t epoch, int64_t step)
{
    if (!beats_here)
        return;
    atomic_store_explicit(&beat.epoch, epoch, memory_order_relaxed);
    atomic_store_explicit(&beat.step, step, memory_order_relaxed);
    thaw_beat("");
}

const char *thaw_beat_wait(const char *on)
{
    return beats_here ? atomic_exchange_explicit(&beat.wait, on, memory_order_relaxed) : NULL;
}

void thaw_beat_go(const char *before)
{
    if (!beats_here)
        return;
    atomic_store_explicit(&beat.wait, before, memory_order_relaxed);
    if (before == NULL)
        count_one();
}

void thaw_beat_patience(bool patient)
{
    if (beats_here)
        atomic_store_explicit(&beat.patient, patient, memory_order_relaxed);
}

void thaw_beat_lend(bool lent)
{
    if (!beats_here)
        return;
    atomic_store_explicit(&beat.lent, lent, memory_order_relaxed);
    count_one();
}

void thaw_beat_help(void)
{
    helps = true;
}

void thaw_beat_look(thaw_where *out)
{
    out->count = atomic_load_explicit(&beat.count, memory_order_acquire);
    out->epoch = atomic_load_explicit(&beat.epoch, memory_order_relaxed);
    out->step = atomic_load_explicit(&beat.step, memory_order_relaxed);
    out->phase = atomic_load_explicit(&beat.phase, memory_order_relaxed);
    out->what = atomic_load_explicit(&beat.what, memory_order_relaxed);
    out->wait = atomic_load_explicit(&beat.wait, memory_order_relaxed);
    out->patient = atomic_load_explicit(&beat.patient, memory_order_relaxed);
}
