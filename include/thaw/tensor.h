/* thaw/tensor.h - element types, shapes, and the state: an ordered list of named tensors and scalars.
 *
 * No arithmetic here. Data are dense, row-major (C order); the batch is always the first dimension of an activation.
 * Checkpoint, broadcast, digest and diff work on a thaw_state and know no models. */
#ifndef THAW_TENSOR_H
#define THAW_TENSOR_H

#include "thaw/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define THAW_MAX_DIMS 6

typedef enum thaw_dtype { THAW_F32, THAW_F64, THAW_I32, THAW_I64, THAW_U8 } thaw_dtype;

size_t thaw_dtype_bytes(thaw_dtype dtype);
const char *thaw_dtype_name(thaw_dtype dtype); /* "float32", ... */

typedef struct thaw_shape {
    int32_t ndim; /* 0 is a scalar */
    int64_t dim[THAW_MAX_DIMS];
} thaw_shape;

thaw_shape thaw_shape_make(int ndim, const int64_t *dim);
/* Short forms. */
thaw_shape thaw_shape1(int64_t a);
thaw_shape thaw_shape2(int64_t a, int64_t b);
thaw_shape thaw_shape4(int64_t a, int64_t b, int64_t c, int64_t d);
int64_t thaw_shape_count(const thaw_shape *shape); /* elements; 1 for a scalar */
bool thaw_shape_equal(const thaw_shape *a, const thaw_shape *b);
void thaw_shape_format(const thaw_shape *shape, char *out, size_t bytes); /* "(64, 3, 7, 7)" */

/* A view: who owns `data` is said by whoever hands it out. */
typedef struct thaw_tensor {
    thaw_dtype dtype;
    thaw_shape shape;
    void *data;
} thaw_tensor;

int64_t thaw_tensor_count(const thaw_tensor *t);
size_t thaw_tensor_bytes(const thaw_tensor *t);

/* `code` for a tensor of floats with NaN or infinity in it: names the file, the tensor, the first index and the value. Other types hold
 * none. */
THAW_NODISCARD thaw_status thaw_check_finite(const char *file, const char *name,
                                             const thaw_tensor *t, thaw_status code);
/* The same of a tensor's rows that begin with row `first`: the index is the one in the whole tensor. */
THAW_NODISCARD thaw_status thaw_check_finite_rows(const char *file, const char *name,
                                                  const thaw_tensor *rows, int64_t first,
                                                  thaw_status code);

/* Rows are what the first dimension counts; a scalar is one. */
int64_t thaw_shape_rows(const thaw_shape *shape);
/* Rows that together stay in a core's cache, at least one: so many are read, looked at and written before the next. 1 of a tensor
 * without elements. */
int64_t thaw_rows_a_piece(const thaw_shape *shape, thaw_dtype dtype);

/* ---- State ------------------------------------------------------------------------------------------------ */

typedef struct thaw_entry {
    char *name;
    thaw_tensor tensor;
    bool owned; /* the state frees tensor.data */
} thaw_entry;

/* Named tensors in insertion order; names are unique. init: `thaw_state s = {0};` */
typedef struct thaw_state {
    thaw_entry *entries;
    int64_t count, capacity;
} thaw_state;

/* Adds a view on memory that outlives the state. THAW_ERR_FAIL when the name is taken. */
THAW_NODISCARD thaw_status thaw_state_add(thaw_state *s, const char *name, thaw_dtype dtype,
                                          thaw_shape shape, void *data);
/* Adds a zeroed tensor that the state owns; *data (may be NULL) receives its memory. */
THAW_NODISCARD thaw_status thaw_state_add_new(thaw_state *s, const char *name, thaw_dtype dtype,
                                              thaw_shape shape, void **data);
/* Owned scalars and text (text is a 1-D uint8 tensor without the ending 0). */
THAW_NODISCARD thaw_status thaw_state_add_int(thaw_state *s, const char *name, int64_t value);
THAW_NODISCARD thaw_status thaw_state_add_double(thaw_state *s, const char *name, double value);
THAW_NODISCARD thaw_status thaw_state_add_text(thaw_state *s, const char *name, const char *text);
/* NULL when absent. */
thaw_tensor *thaw_state_find(const thaw_state *s, const char *name);
/* THAW_ERR_INPUT naming the entry when absent or of another type. get_text appends to *out. */
THAW_NODISCARD thaw_status thaw_state_get_int(const thaw_state *s, const char *name, int64_t *out);
THAW_NODISCARD thaw_status thaw_state_get_double(const thaw_state *s, const char *name,
                                                 double *out);
THAW_NODISCARD thaw_status thaw_state_get_text(const thaw_state *s, const char *name,
                                               thaw_str *out);
/* THAW_ERR_INPUT: what was found (NULL: nothing) has another type or shape than the entry; names the entry, with both. */
THAW_NODISCARD thaw_status thaw_entry_check(const thaw_entry *entry, const thaw_tensor *found);
/* Copies the data of every entry of `to` from the entry of the same name in `from`; types and shapes must agree.
 * THAW_ERR_INPUT names the first entry that is missing or differs, with both shapes; then nothing was copied. */
THAW_NODISCARD thaw_status thaw_state_copy(thaw_state *to, const thaw_state *from);
/* XXH3-128 over entries in name order: name, dtype name, shape, little-endian data. Independent of insertion order. */
THAW_NODISCARD thaw_status thaw_state_digest(const thaw_state *s, thaw_digest *out);
/* The same in pieces: for each entry in name order what it is, then its values in order, `count` of them at a time. */
void thaw_hasher_add_entry(thaw_hasher *hasher, const char *name, thaw_dtype dtype,
                           const thaw_shape *shape);
void thaw_hasher_add_values(thaw_hasher *hasher, thaw_dtype dtype, int64_t count,
                            const void *values);
/* The entries in name order; *out by thaw_alloc, the entries stay the state's. */
THAW_NODISCARD thaw_status thaw_state_sorted(const thaw_state *s, const thaw_entry ***out);

/* Where the values of entries without data come from: `give` hands them to `take` in pieces of whole rows, in order. What `take` fails with
 * ends the giving. */
typedef thaw_status thaw_take_rows(void *to, int64_t rows, const void *values);
typedef struct thaw_values {
    thaw_status (*give)(void *context, const thaw_entry *entry, thaw_take_rows *take, void *to);
    void *context;
} thaw_values;
void thaw_state_clear(thaw_state *s);

#ifdef __cplusplus
}
#endif
#endif
