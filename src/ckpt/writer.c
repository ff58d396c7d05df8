#include "ckpt/ckpt_impl.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* A thread lives for one write, so that nothing waits in the background between two. Its fields are the caller's again once it is joined;
 * in between only `ended` is shared. */
struct thaw_ckpt_writer {
    pthread_t thread;
    bool running;     /* to be joined */
    atomic_int ended; /* the thread has done its work */
    thaw_str directory;
    int64_t step;
    thaw_ckpt_options options;
    thaw_state state, attributes; /* copies */
    thaw_status status;           /* of the last write, while nobody has heard of it */
    thaw_error error;
    double seconds, longest;
};

thaw_status thaw_ckpt_writer_new(thaw_ckpt_writer **out)
{
    return thaw_alloc(out, 1, sizeof **out);
}

static void *write_copy(void *context)
{
    thaw_ckpt_writer *w = context;
    thaw_beat_help();
    const double began = thaw_seconds();
    const thaw_values none = {0};
    w->status = thaw_ckpt_save_here(thaw_str_c(&w->directory), w->step, &w->state, &w->attributes,
                                    &w->options, &none);
    if (w->status != THAW_OK)
        w->error = *thaw_error_last();
    w->seconds = thaw_seconds() - began;
    atomic_store(&w->ended, 1);
    return NULL;
}

static void join(thaw_ckpt_writer *w)
{
    if (!w->running)
        return;
    /* A long write is no hang: while it gets on, so does who waits for it. */
    thaw_beat("the thread that writes checkpoints");
    thaw_beat_lend(true);
    pthread_join(w->thread, NULL);
    thaw_beat_lend(false);
    w->running = false;
    if (w->seconds > w->longest)
        w->longest = w->seconds;
}

/* Waits, and gives the failure to who hears of it first. */
static thaw_status take_outcome(thaw_ckpt_writer *w)
{
    join(w);
    const thaw_status status = w->status;
    if (status != THAW_OK)
        *thaw_error_last() = w->error;
    w->status = THAW_OK;
    return status;
}

static bool same_form(const thaw_state *a, const thaw_state *b)
{
    bool same = a->count == b->count;
    for (int64_t i = 0; i < a->count && same; i++) {
        const thaw_entry *x = &a->entries[i];
        const thaw_entry *y = &b->entries[i];
        same = strcmp(x->name, y->name) == 0 && x->tensor.dtype == y->tensor.dtype &&
               thaw_shape_equal(&x->tensor.shape, &y->tensor.shape);
    }
    return same;
}

/* The memory of the last copy is used again: a run's state keeps its form. */
static thaw_status copy_state(thaw_state *to, const thaw_state *from)
{
    if (!same_form(to, from)) {
        thaw_state_clear(to);
        for (int64_t i = 0; i < from->count; i++) {
            const thaw_entry *e = &from->entries[i];
            THAW_TRY(thaw_state_add_new(to, e->name, e->tensor.dtype, e->tensor.shape, NULL));
        }
    }
    return thaw_state_copy(to, from);
}

/* Signals are for the thread that trains. */
static thaw_status start(thaw_ckpt_writer *w)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    atomic_store(&w->ended, 0);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->running = pthread_create(&w->thread, NULL, write_copy, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    THAW_CHECK(w->running, THAW_ERR_RESOURCE,
               "cannot start a thread that writes checkpoints; allow this user more threads, or "
               "set train.checkpoint_async to off");
    return THAW_OK;
}

static thaw_status begin(thaw_ckpt_writer *w, const char *directory, int64_t step,
                         const thaw_state *state, const thaw_state *attributes,
                         const thaw_ckpt_options *options, const thaw_values *values)
{
    static const thaw_state nothing = {0};
    if (w == NULL)
        return thaw_ckpt_save_here(directory, step, state, attributes, options, values);
    THAW_ASSERT(options->parts == NULL);
    THAW_TRY(take_outcome(w));
    THAW_TRY(copy_state(&w->state, state));
    THAW_TRY(copy_state(&w->attributes, attributes != NULL ? attributes : &nothing));
    thaw_str_reset(&w->directory);
    thaw_str_add(&w->directory, directory);
    w->step = step;
    w->options = *options;
    return start(w);
}

thaw_status thaw_ckpt_save_later(thaw_ckpt_writer *writer, thaw_comm *comm, const char *directory,
                                 int64_t step, const thaw_state *state,
                                 const thaw_state *attributes, const thaw_ckpt_options *options)
{
    thaw_ckpt_gather gather;
    thaw_status status = thaw_ckpt_gather_open(comm, state, options->parts, &gather);
    const thaw_values values = thaw_ckpt_gather_values(&gather);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = begin(writer, directory, step, state, attributes, options, &values);
    thaw_ckpt_gather_close(&gather);
    return thaw_agree(comm, status);
}

thaw_status thaw_ckpt_settle(thaw_ckpt_writer *writer, thaw_comm *comm)
{
    return thaw_agree(comm, writer != NULL ? take_outcome(writer) : THAW_OK);
}

thaw_status thaw_ckpt_look(thaw_ckpt_writer *writer)
{
    if (writer == NULL || !writer->running || atomic_load(&writer->ended) == 0)
        return THAW_OK;
    return take_outcome(writer);
}

double thaw_ckpt_longest(const thaw_ckpt_writer *writer)
{
    return writer != NULL ? writer->longest : 0;
}

void thaw_ckpt_writer_free(thaw_ckpt_writer **writer)
{
    thaw_ckpt_writer *w = *writer;
    if (w == NULL)
        return;
    join(w);
    if (w->status != THAW_OK)
        THAW_LOG_ALL(THAW_WARN, "the checkpoint of step %lld was not written: %s",
                     (long long)w->step, w->error.message);
    thaw_state_clear(&w->attributes);
    thaw_state_clear(&w->state);
    thaw_str_clear(&w->directory);
    thaw_free(writer);
}
