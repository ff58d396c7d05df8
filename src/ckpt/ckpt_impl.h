/* What rank 0 knows of a directory of checkpoints. All functions here are local. */
#ifndef THAW_CKPT_CKPT_IMPL_H
#define THAW_CKPT_CKPT_IMPL_H

#include "thaw/ckpt.h"

typedef struct thaw_ckpt_record {
    int64_t step;
    int64_t bytes;      /* of the file; only when recorded */
    thaw_digest digest; /* of the file's bytes; only when recorded */
    bool recorded;      /* the manifest knows it */
    bool best;
} thaw_ckpt_record;

typedef struct thaw_ckpt_list {
    thaw_ckpt_record *items; /* ascending steps */
    int64_t count, capacity;
} thaw_ckpt_list;

/* What thaw_ckpt_save does on rank 0. */
THAW_NODISCARD thaw_status thaw_ckpt_save_here(const char *directory, int64_t step,
                                               const thaw_state *state,
                                               const thaw_state *attributes,
                                               const thaw_ckpt_options *options);
void thaw_ckpt_path(const char *directory, int64_t step, thaw_str *out);
/* The files that are there, with what the manifest says about them. A missing directory gives an empty list. */
THAW_NODISCARD thaw_status thaw_ckpt_scan(const char *directory, thaw_ckpt_list *out);
thaw_ckpt_record *thaw_ckpt_find(const thaw_ckpt_list *list, int64_t step);
THAW_NODISCARD thaw_status thaw_ckpt_add(thaw_ckpt_list *list, const thaw_ckpt_record *record);
/* Writes the recorded ones. */
THAW_NODISCARD thaw_status thaw_ckpt_write_manifest(const char *directory,
                                                    const thaw_ckpt_list *list);
void thaw_ckpt_clear(thaw_ckpt_list *list);
/* Reads the file as far as it takes to know that it is whole. */
THAW_NODISCARD thaw_status thaw_ckpt_verify(const char *directory, const thaw_ckpt_record *record);

#endif
