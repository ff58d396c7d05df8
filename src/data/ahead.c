#include "data/ahead_impl.h"

#include <pthread.h>
#include <string.h>

typedef enum row_state { ASKED, READING, READ, FAILED, TAKEN } row_state;

typedef struct row {
    int64_t split, index;
    row_state state;
} row;

/* Places count up for ever; place p is rows[p % room]. The caller moves first and end, the thread moves next. */
struct thaw_ahead {
    thaw_ahead_read *read;
    const void *source;
    size_t row_bytes;
    int64_t room;
    row *rows;
    char *data;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows, and of the states of rows */
    pthread_cond_t work, done;
    int64_t first, next, end;
    bool paused, reading, over;
};

static row *row_at(const thaw_ahead *a, int64_t place)
{
    return &a->rows[place % a->room];
}

static char *data_at(const thaw_ahead *a, int64_t place)
{
    return a->data + (size_t)(place % a->room) * a->row_bytes;
}

/* How many rows from the next one on are neighbours in the file and in memory. */
static int64_t run_length(const thaw_ahead *a)
{
    const row *head = row_at(a, a->next);
    int64_t n = 1;
    while (a->next + n < a->end && (a->next + n) % a->room != 0 &&
           row_at(a, a->next + n)->state == ASKED && row_at(a, a->next + n)->split == head->split &&
           row_at(a, a->next + n)->index == head->index + n)
        n++;
    return n;
}

static void mark(thaw_ahead *a, int64_t place, int64_t n, row_state state)
{
    for (int64_t i = 0; i < n; i++)
        row_at(a, place + i)->state = state;
}

/* Under the lock, which is open while it reads. */
static void read_next(thaw_ahead *a)
{
    const int64_t place = a->next, n = run_length(a);
    const row head = *row_at(a, place);
    if (head.state == TAKEN) {
        a->next++;
        return;
    }
    mark(a, place, n, READING);
    a->next += n;
    a->reading = true;
    pthread_mutex_unlock(&a->lock);
    const thaw_status status = a->read(a->source, head.split, head.index, n, data_at(a, place));
    pthread_mutex_lock(&a->lock);
    a->reading = false;
    mark(a, place, n, status == THAW_OK ? READ : FAILED);
    pthread_cond_signal(&a->done);
}

static void *work(void *context)
{
    thaw_ahead *a = context;
    pthread_mutex_lock(&a->lock);
    while (!a->over) {
        if (a->paused || a->next == a->end)
            pthread_cond_wait(&a->work, &a->lock);
        else
            read_next(a);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

thaw_status thaw_ahead_start(thaw_ahead_read *read, const void *source, int64_t room,
                             size_t row_bytes, thaw_ahead **out)
{
    thaw_ahead *a = NULL;
    thaw_status status;
    *out = NULL;
    THAW_TRY(thaw_alloc(&a, 1, sizeof *a));
    a->read = read;
    a->source = source;
    a->room = room;
    a->row_bytes = row_bytes;
    a->paused = true;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->done, NULL);
    THAW_TRY_TO(thaw_alloc(&a->rows, room, sizeof *a->rows));
    THAW_TRY_TO(thaw_alloc(&a->data, room, row_bytes));
    a->started = pthread_create(&a->thread, NULL, work, a) == 0;
    THAW_CHECK_TO(
        a->started, THAW_ERR_RESOURCE,
        "cannot start a thread that reads samples ahead; allow this user more threads, or "
        "set data.prefetch to off");
    *out = a;
    a = NULL;
done:
    thaw_ahead_stop(&a);
    return status;
}

void thaw_ahead_stop(thaw_ahead **address)
{
    thaw_ahead *a = *address;
    if (a == NULL)
        return;
    if (a->started) {
        pthread_mutex_lock(&a->lock);
        a->over = true;
        pthread_cond_signal(&a->work);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    pthread_cond_destroy(&a->done);
    pthread_cond_destroy(&a->work);
    pthread_mutex_destroy(&a->lock);
    thaw_free(&a->data);
    thaw_free(&a->rows);
    thaw_free(address);
}

int64_t thaw_ahead_room(const thaw_ahead *ahead)
{
    return ahead->room;
}

/* Those that are through at the beginning give their place back; `also`: one that was read and nobody took. */
static void make_room(thaw_ahead *a, bool also)
{
    while (a->first < a->next) {
        const row_state state = row_at(a, a->first)->state;
        if (state == ASKED || state == READING || (state == READ && !also))
            return;
        also = also && state != READ;
        a->first++;
    }
}

void thaw_ahead_ask(thaw_ahead *a, int64_t split, int64_t n, const int64_t *indices)
{
    pthread_mutex_lock(&a->lock);
    make_room(a, false);
    for (int64_t i = 0; i < n; i++) {
        if (a->end - a->first == a->room)
            make_room(a, true);
        if (a->end - a->first == a->room)
            break;
        *row_at(a, a->end++) = (row){.split = split, .index = indices[i], .state = ASKED};
    }
    a->paused = false;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

/* The place of a row that nobody has taken, or -1. The first one mostly is it. */
static int64_t find(const thaw_ahead *a, int64_t split, int64_t index)
{
    for (int64_t place = a->first; place < a->end; place++) {
        const row *r = row_at(a, place);
        if (r->index == index && r->split == split && r->state != TAKEN)
            return place;
    }
    return -1;
}

const void *thaw_ahead_take(thaw_ahead *a, int64_t split, int64_t index)
{
    const void *found = NULL;
    pthread_mutex_lock(&a->lock);
    const int64_t place = find(a, split, index);
    if (place >= 0) {
        row *r = row_at(a, place);
        while (!a->paused && (r->state == ASKED || r->state == READING))
            pthread_cond_wait(&a->done, &a->lock);
        found = r->state == READ ? data_at(a, place) : NULL;
        r->state = TAKEN;
        make_room(a, false);
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

void thaw_ahead_pause(thaw_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->paused = true;
    while (a->reading)
        pthread_cond_wait(&a->done, &a->lock);
    pthread_mutex_unlock(&a->lock);
}
