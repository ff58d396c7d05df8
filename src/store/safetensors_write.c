#include "thaw/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "thaw/report.h"

/* The format: eight bytes with the length of a JSON header, the header, then the tensors without gaps, in the order of their names. */

static thaw_status check_types(const thaw_state *state)
{
    for (int64_t i = 0; i < state->count; i++) {
        const thaw_entry *e = &state->entries[i];
        THAW_CHECK(e->tensor.dtype == THAW_F32, THAW_ERR_FAIL, "tensor '%s' is %s, not float32",
                   e->name, thaw_dtype_name(e->tensor.dtype));
    }
    return THAW_OK;
}

static void add_words(thaw_json *header, const thaw_strings *words)
{
    thaw_json *metadata = thaw_json_set_object(header, "__metadata__");
    thaw_json_set_string(metadata, "format", "pt");
    for (int64_t i = 0; words != NULL && i + 1 < words->count; i += 2)
        thaw_json_set_string(metadata, words->items[i], words->items[i + 1]);
}

/* Padded, so that the data begin at a multiple of eight bytes. */
static void write_header(const thaw_entry *const *entries, int64_t count, const thaw_strings *words,
                         thaw_str *out)
{
    thaw_json *header = thaw_json_new_object();
    int64_t at = 0;
    add_words(header, words);
    for (int64_t i = 0; i < count; i++) {
        const thaw_tensor *t = &entries[i]->tensor;
        const int64_t end = at + (int64_t)thaw_tensor_bytes(t);
        thaw_json *row = thaw_json_set_object(header, entries[i]->name);
        thaw_json_set_string(row, "dtype", "F32");
        thaw_json_set_ints(row, "shape", t->shape.dim, t->shape.ndim);
        thaw_json_set_ints(row, "data_offsets", (int64_t[]){at, end}, 2);
        at = end;
    }
    thaw_json_compact(header, out);
    thaw_json_free(&header);
    while (out->length % 8 != 0)
        thaw_str_add(out, " ");
}

static bool write_all(FILE *file, const thaw_str *header, const thaw_entry *const *entries,
                      int64_t count)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header->length >> (8 * i));
    bool good = fwrite(length, 1, sizeof length, file) == sizeof length &&
                fwrite(header->data, 1, header->length, file) == header->length;
    for (int64_t i = 0; i < count && good; i++) {
        const size_t bytes = thaw_tensor_bytes(&entries[i]->tensor);
        thaw_beat("writing a tensor of a file");
        good = bytes == 0 || fwrite(entries[i]->tensor.data, 1, bytes, file) == bytes;
    }
    return good;
}

thaw_status thaw_safetensors_write(const char *path, const thaw_state *tensors,
                                   const thaw_strings *words)
{
    const thaw_entry **entries = NULL;
    thaw_str header = {0};
    thaw_str temporary = {0};
    thaw_status status;
    FILE *file = NULL;
    thaw_str_printf(&temporary, "%s.tmp", path);
    THAW_TRY_TO(check_types(tensors));
    THAW_TRY_TO(thaw_state_sorted(tensors, &entries));
    write_header(entries, tensors->count, words, &header);
    file = fopen(thaw_str_c(&temporary), "wb");
    THAW_CHECK_TO(file != NULL, THAW_ERR_RESOURCE, "cannot create %s: %s", thaw_str_c(&temporary),
                  strerror(errno));
    bool good = write_all(file, &header, entries, tensors->count);
    int error = good ? 0 : errno;
    /* Network file systems report a full disk only here. */
    if (fclose(file) != 0 && good)
        good = false, error = errno;
    status = good ? thaw_file_commit(thaw_str_c(&temporary), path)
                  : THAW_FAIL(THAW_ERR_RESOURCE, "cannot write %s: %s", path, strerror(error));
    if (status != THAW_OK)
        unlink(thaw_str_c(&temporary));
done:
    thaw_free(&entries);
    thaw_str_clear(&temporary);
    thaw_str_clear(&header);
    return status;
}
