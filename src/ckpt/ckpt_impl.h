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

/* Entries without data while a file is written: what rank 0 asks for and the others give. */
typedef struct thaw_ckpt_gather {
    thaw_comm *comm;
    const thaw_ckpt_parts *parts; /* NULL: there are none */
    const thaw_entry **order;     /* (count) those entries, by name */
    int64_t count, next;
    char *values; /* of one of them; NULL on other ranks than 0 */
} thaw_ckpt_gather;

/* Collective. */
THAW_NODISCARD thaw_status thaw_ckpt_gather_open(thaw_comm *comm, const thaw_state *state,
                                                 const thaw_ckpt_parts *parts,
                                                 thaw_ckpt_gather *out);
/* For the writer, on rank 0. */
thaw_values thaw_ckpt_gather_values(thaw_ckpt_gather *gather);
/* Collective, when rank 0 has written or failed to, and at once on the others: gives all that is left. */
void thaw_ckpt_gather_close(thaw_ckpt_gather *gather);

/* What thaw_ckpt_save does on rank 0. values: of entries without data. */
THAW_NODISCARD thaw_status thaw_ckpt_save_here(const char *directory, int64_t step,
                                               const thaw_state *state,
                                               const thaw_state *attributes,
                                               const thaw_ckpt_options *options,
                                               const thaw_values *values);
void thaw_ckpt_path(const char *directory, int64_t step, thaw_str *out);
/* The step in a name that thaw_ckpt_path gives. */
bool thaw_ckpt_parse_name(const char *name, int64_t *step);
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
