#include "ckpt/ckpt_impl.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thaw/h5.h"

#define MANIFEST "manifest.txt"

void thaw_ckpt_path(const char *directory, int64_t step, thaw_str *out)
{
    thaw_path_join(out, directory, "");
    thaw_str_printf(out, "step-%012lld.h5", (long long)step);
}

void thaw_ckpt_clear(thaw_ckpt_list *list)
{
    thaw_free(&list->items);
    *list = (thaw_ckpt_list){0};
}

thaw_ckpt_record *thaw_ckpt_find(const thaw_ckpt_list *list, int64_t step)
{
    for (int64_t i = 0; i < list->count; i++) {
        if (list->items[i].step == step)
            return &list->items[i];
    }
    return NULL;
}

thaw_status thaw_ckpt_add(thaw_ckpt_list *list, const thaw_ckpt_record *record)
{
    if (list->count == list->capacity) {
        int64_t more = list->capacity > 0 ? 2 * list->capacity : 8;
        THAW_TRY(thaw_realloc(&list->items, list->capacity, more, sizeof *list->items));
        list->capacity = more;
    }
    int64_t at = list->count;
    while (at > 0 && list->items[at - 1].step > record->step)
        at--;
    memmove(list->items + at + 1, list->items + at,
            (size_t)(list->count - at) * sizeof *list->items);
    list->items[at] = *record;
    list->count++;
    return THAW_OK;
}

/* "step-000000000120.h5" exactly, so that a .tmp or a user's copy is not taken for a checkpoint. */
bool thaw_ckpt_parse_name(const char *name, int64_t *step)
{
    char digits[13];
    thaw_str again = {0};
    if (!thaw_starts_with(name, "step-") || strlen(name) != strlen("step-000000000000.h5"))
        return false;
    memcpy(digits, name + 5, 12);
    digits[12] = 0;
    if (strspn(digits, "0123456789") != 12)
        return false;
    *step = strtoll(digits, NULL, 10);
    thaw_ckpt_path("", *step, &again);
    bool same = strcmp(thaw_str_c(&again), name) == 0;
    thaw_str_clear(&again);
    return same;
}

static thaw_status list_files(const char *directory, thaw_ckpt_list *out)
{
    thaw_status status = THAW_OK;
    DIR *dir = opendir(directory);
    if (dir == NULL && (errno == ENOENT || errno == ENOTDIR))
        return THAW_OK;
    THAW_CHECK(dir != NULL, THAW_ERR_INPUT, "cannot list %s: %s", directory, strerror(errno));
    for (struct dirent *e = readdir(dir); e != NULL && status == THAW_OK; e = readdir(dir)) {
        thaw_ckpt_record record = {0};
        if (thaw_ckpt_parse_name(e->d_name, &record.step))
            status = thaw_ckpt_add(out, &record);
    }
    closedir(dir);
    return status;
}

/* A line that does not make sense is as good as none: the file then has to prove itself. */
static void read_line(const char *line, thaw_ckpt_list *list)
{
    int64_t step = 0, bytes = 0;
    char hex[THAW_DIGEST_HEX];
    int best = 0;
    thaw_digest digest;
    if (sscanf(line, "step=%" SCNd64 " bytes=%" SCNd64 " xxh3=%32[0-9a-f] best=%d", &step, &bytes,
               hex, &best) != 4 ||
        !thaw_digest_parse(hex, &digest))
        return;
    thaw_ckpt_record *record = thaw_ckpt_find(list, step);
    if (record == NULL)
        return;
    record->bytes = bytes;
    record->digest = digest;
    record->best = best != 0;
    record->recorded = true;
}

thaw_status thaw_ckpt_scan(const char *directory, thaw_ckpt_list *out)
{
    thaw_str path = {0}, text = {0};
    *out = (thaw_ckpt_list){0};
    thaw_status status = list_files(directory, out);
    thaw_path_join(&path, directory, MANIFEST);
    if (status == THAW_OK && thaw_path_exists(thaw_str_c(&path)))
        status = thaw_file_read(thaw_str_c(&path), &text);
    for (const char *line = thaw_str_c(&text); status == THAW_OK && *line != 0;) {
        read_line(line, out);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    if (status != THAW_OK)
        thaw_ckpt_clear(out);
    return status;
}

thaw_status thaw_ckpt_write_manifest(const char *directory, const thaw_ckpt_list *list)
{
    thaw_str path = {0}, text = {0};
    char hex[THAW_DIGEST_HEX];
    for (int64_t i = 0; i < list->count; i++) {
        const thaw_ckpt_record *r = &list->items[i];
        if (!r->recorded)
            continue;
        thaw_digest_hex(r->digest, hex);
        thaw_str_printf(&text, "step=%lld bytes=%lld xxh3=%s best=%d\n", (long long)r->step,
                        (long long)r->bytes, hex, (int)r->best);
    }
    thaw_path_join(&path, directory, MANIFEST);
    thaw_status status = thaw_file_write(thaw_str_c(&path), thaw_str_c(&text), text.length);
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

/* The manifest knows the bytes of a verified file. Without its word the file is read whole, with all checks of module h5. */
thaw_status thaw_ckpt_verify(const char *directory, const thaw_ckpt_record *record)
{
    thaw_status status = THAW_OK;
    thaw_str path = {0};
    thaw_digest found;
    int64_t bytes = 0;
    thaw_state state = {0}, attributes = {0};
    thaw_ckpt_path(directory, record->step, &path);
    if (!record->recorded) {
        status = thaw_h5_load(thaw_str_c(&path), NULL, &state, &attributes);
        thaw_state_clear(&state);
        thaw_state_clear(&attributes);
        goto done;
    }
    THAW_TRY_TO(thaw_file_digest(thaw_str_c(&path), &found, &bytes));
    THAW_CHECK_TO(bytes == record->bytes, THAW_ERR_INPUT,
                  "%s has %lld bytes, but %lld were written: it was cut off or changed",
                  thaw_str_c(&path), (long long)bytes, (long long)record->bytes);
    THAW_CHECK_TO(thaw_digest_equal(found, record->digest), THAW_ERR_INPUT,
                  "%s is damaged: its digest is not the one in %s", thaw_str_c(&path), MANIFEST);
done:
    thaw_str_clear(&path);
    return status;
}
