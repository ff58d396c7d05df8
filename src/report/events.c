#include "thaw/report.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define EVENT_BUFFER 16384
#define EVENT_MOST   512 /* bytes of one record; longer tags are cut */

struct thaw_events {
    char *path;
    size_t used;
    uint8_t buffer[EVENT_BUFFER];
};

uint32_t thaw_crc32c(const void *data, size_t bytes)
{
    /* Four bits at a time: event files are small, and sixteen constants can be checked by eye. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *at = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= at[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

/* TFRecord stores the rotated sum, so that data which contain sums do not check themselves. */
static uint32_t masked_crc(const void *data, size_t bytes)
{
    uint32_t crc = thaw_crc32c(data, bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* One message of the wire format of protocol buffers, in a fixed block. */
typedef struct message {
    size_t used;
    uint8_t bytes[EVENT_MOST];
} message;

static void put_bytes(message *m, const void *data, size_t bytes)
{
    THAW_ASSERT(m->used + bytes <= sizeof m->bytes);
    memcpy(m->bytes + m->used, data, bytes);
    m->used += bytes;
}

static void put_varint(message *m, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 128; value >>= 7)
        bytes[n++] = (uint8_t)(value | 128);
    bytes[n++] = (uint8_t)value;
    put_bytes(m, bytes, n);
}

static void put_little(message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put_bytes(m, &byte, 1);
    }
}

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_key(message *m, int field, enum wire wire)
{
    put_varint(m, (uint64_t)field << 3 | (uint64_t)wire);
}

static void put_block(message *m, int field, const void *data, size_t bytes)
{
    put_key(m, field, WIRE_BYTES);
    put_varint(m, bytes);
    put_bytes(m, data, bytes);
}

/* Event: wall_time = 1 (double), step = 2 (int64), then file_version = 3, summary = 5 or session_log = 7. */
static void start_event(message *m, int64_t step)
{
    struct timespec now;
    double wall = clock_gettime(CLOCK_REALTIME, &now) == 0
                      ? (double)now.tv_sec + (double)now.tv_nsec * 1e-9
                      : 0;
    uint64_t bits = 0;
    memcpy(&bits, &wall, sizeof bits);
    m->used = 0;
    put_key(m, 1, WIRE_64);
    put_little(m, bits, 8);
    put_key(m, 2, WIRE_VARINT);
    put_varint(m, (uint64_t)step);
}

static thaw_status append_record(thaw_events *events, const message *body)
{
    message record = {0};
    if (events->used + body->used + 16 > sizeof events->buffer)
        THAW_TRY(thaw_events_flush(events));
    put_little(&record, body->used, 8);
    put_little(&record, masked_crc(record.bytes, 8), 4);
    uint8_t *at = events->buffer + events->used;
    memcpy(at, record.bytes, 12);
    memcpy(at + 12, body->bytes, body->used);
    record.used = 0;
    put_little(&record, masked_crc(body->bytes, body->used), 4);
    memcpy(at + 12 + body->used, record.bytes, 4);
    events->used += body->used + 16;
    return THAW_OK;
}

static thaw_status append_head(thaw_events *events, int64_t first_step)
{
    static const char version[] = "brain.Event:2";
    message event;
    start_event(&event, 0);
    put_block(&event, 3, version, sizeof version - 1);
    THAW_TRY(append_record(events, &event));
    if (first_step > 0) {
        static const uint8_t session_start[] = {1 << 3 | WIRE_VARINT, 1}; /* status = START */
        start_event(&event, first_step);
        put_block(&event, 7, session_start, sizeof session_start);
        THAW_TRY(append_record(events, &event));
    }
    return thaw_events_flush(events);
}

thaw_status thaw_events_open(const char *directory, int64_t first_step, thaw_events **out)
{
    thaw_status status = THAW_OK;
    thaw_events *events = NULL;
    thaw_str path = {0};
    int64_t stamp = (int64_t)time(NULL);
    char name[64];
    *out = NULL;
    THAW_TRY(thaw_mkdirs(directory));
    THAW_TRY(thaw_alloc(&events, 1, sizeof *events));
    do {
        thaw_format(name, sizeof name, "events.out.tfevents.%lld.thaw", (long long)stamp++);
        thaw_path_join(&path, directory, name);
    } while (thaw_path_exists(thaw_str_c(&path)));
    THAW_TRY_TO(thaw_strdup(&events->path, thaw_str_c(&path)));
    THAW_TRY_TO(append_head(events, first_step));
    *out = events;
    events = NULL;
done:
    if (events != NULL)
        thaw_free(&events->path);
    thaw_free(&events);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_events_scalar(thaw_events *events, const char *tag, int64_t step, double value)
{
    message entry = {0};
    message summary = {0};
    message event;
    float single = (float)value;
    uint32_t bits = 0;
    size_t length = strlen(tag);
    memcpy(&bits, &single, sizeof bits);
    /* Summary.Value: tag = 1, simple_value = 2 (float). Summary: value = 1. */
    put_block(&entry, 1, tag, length < EVENT_MOST / 2 ? length : EVENT_MOST / 2);
    put_key(&entry, 2, WIRE_32);
    put_little(&entry, bits, 4);
    put_block(&summary, 1, entry.bytes, entry.used);
    start_event(&event, step);
    put_block(&event, 5, summary.bytes, summary.used);
    return append_record(events, &event);
}

thaw_status thaw_events_flush(thaw_events *events)
{
    size_t used = events->used;
    if (used == 0)
        return THAW_OK;
    /* Dropped even when the disk is full: a log must not grow without end, nor write half a record later. */
    events->used = 0;
    return thaw_file_append(events->path, events->buffer, used);
}

const char *thaw_events_path(const thaw_events *events)
{
    return events->path;
}

thaw_status thaw_events_close(thaw_events **events)
{
    if (events == NULL || *events == NULL)
        return THAW_OK;
    thaw_status status = thaw_events_flush(*events);
    thaw_free(&(*events)->path);
    thaw_free(events);
    return status;
}
