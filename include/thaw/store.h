/* thaw/store.h - the backbone file: weights to start from, and all that is needed to use them rightly.
 *
 * An HDF5 file (module h5) with the root attributes format = "thaw-backbone" and version = 1, and the groups
 *   backbone/<name>   parameters and buffers under the names of their origin
 *   head/<name>       the head they were trained with (may be missing)
 *   spec/<name>       how the model module rebuilds the graph; opaque here
 *   input/mean, input/std          float64 (C): how inputs were normalised; not of text
 *   features/mean, features/variance   float64 (D): statistics of the features on the source data (may be missing)
 * Nothing here communicates: one rank reads, thaw_ckpt_bcast hands out. */
#ifndef THAW_STORE_H
#define THAW_STORE_H

#include "thaw/base.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define THAW_BACKBONE_VERSION 1

/* init: `thaw_backbone b = {0};`. For writing, the members may point to memory that is not the struct's own (then do not
 * call clear); after reading it owns everything. */
typedef struct thaw_backbone {
    char *arch;           /* "resnet20" */
    thaw_state spec;      /* of the model module */
    thaw_state tensors;   /* not empty */
    thaw_state head;      /* may be empty */
    int64_t C, H, W;      /* input the weights were trained on; all > 0, or all 0 of text */
    double *mean, *std;   /* (C), std > 0; NULL of text */
    int64_t tokens;       /* text: a sample's most; else 0 */
    char *tokenizer;      /* text: "wordpiece", "bpe", ... (thaw_vocabulary); NULL: unknown */
    char *vocabulary;     /* text: digest of the vocabulary, 32 hex digits; NULL: unknown */
    thaw_strings blocks;  /* names in forward order; may be empty */
    thaw_strings classes; /* what the source head tells apart; may be empty */
    char *origin;         /* where the weights are from, one sentence; NULL: unknown */
    char *license;        /* NULL: unknown */
    int64_t D;            /* features; 0: no source statistics */
    double *feature_mean, *feature_variance; /* (D) */
    int64_t feature_samples;                 /* samples behind them */
    thaw_digest digest;                      /* thaw_state_digest(tensors); set by write and read */
    const thaw_values *
        values; /* for writing only: gives all values of tensors and head, finite ones, whose data are not
                                * looked at, under the names they have there; NULL: the data are the values */
} thaw_backbone;

/* Checks (THAW_ERR_FAIL names the member) and writes atomically; THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_backbone_write(const char *path, thaw_backbone *b);
/* THAW_ERR_INPUT: no such file, another kind of file, newer version, missing or inconsistent members, damaged data, weights that are not finite. *b is
 * empty after an error. */
THAW_NODISCARD thaw_status thaw_backbone_read(const char *path, thaw_backbone *b);
/* All but the data of tensors and head (their entries have data NULL): quick, for listing. */
THAW_NODISCARD thaw_status thaw_backbone_read_info(const char *path, thaw_backbone *b);
void thaw_backbone_clear(thaw_backbone *b);

/* ---- Weights of others ----------------------------------------------------------------------------------------- */

/* Tensors of a file that another program wrote, listed when it is opened and read one by one, so that there are never two copies.
 *   safetensors            one file, or an index (*.index.json) whose files lie beside it
 *   HDF5                   every dataset of it, with '/' in names for '.'; what thaw export writes, or h5py
 *   PyTorch                what torch.save writes, the zip since 1.6 and the form before: tensors, dictionaries, numbers and texts; a pickle that names anything
 *                          else is refused by that name, and nothing of it is ever executed
 * Values become float32: float16 and bfloat16 exactly, float64 rounded to nearest. Other types are listed, not read.
 *   Sources: the safetensors format (README of its repository); the pickle protocol (Python's pickletools). */
typedef struct thaw_weights thaw_weights;

typedef struct thaw_weight {
    char *name;
    const char *type; /* "F32", "BF16", "I64", ... */
    bool readable;    /* a float */
    thaw_shape shape;
} thaw_weight;

/* THAW_ERR_INPUT: no such file, another kind of file, headers that lie about sizes, tensors that overlap, leave holes or appear
 * twice; names the file and the tensor or offset. */
THAW_NODISCARD thaw_status thaw_weights_open(const char *path, thaw_weights **out);
void thaw_weights_close(thaw_weights **weights); /* takes NULL */
int64_t thaw_weights_count(const thaw_weights *weights);
const thaw_weight *thaw_weights_at(const thaw_weights *weights, int64_t index);
/* From the metadata of safetensors, or of HDF5 that thaw wrote; borrowed; NULL: no such text. */
const char *thaw_weights_word(const thaw_weights *weights, const char *key);
/* out: as many floats as the shape has. THAW_ERR_INPUT: cannot be read, or a float64 that float32 cannot hold. */
THAW_NODISCARD thaw_status thaw_weights_read(const thaw_weights *weights, int64_t index,
                                             float *out);
/* Whether a tensor can be read in parts for the price of the whole: it lies dense in a file, not in an archive whose entries are checked at
 * their end. Only then may it be: elements [first, first + n), errors as above. */
bool thaw_weights_in_parts(const thaw_weights *weights, int64_t index);
THAW_NODISCARD thaw_status thaw_weights_read_part(const thaw_weights *weights, int64_t index,
                                                  int64_t first, int64_t n, float *out);

/* ---- For other programs ------------------------------------------------------------------------------------- */

/* Writes float32 tensors as a safetensors file, in name order, durably: the old file or the new one, never half. `words` (may be
 * NULL): keys and values in turn, for its metadata beside format = "pt". THAW_ERR_FAIL: a tensor of another type;
 * THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_safetensors_write(const char *path, const thaw_state *tensors,
                                                  const thaw_strings *words);
/* The same as an HDF5 file (module h5), of any type; words are attributes of the root beside format = "thaw-weights". */
THAW_NODISCARD thaw_status thaw_hdf5_write(const char *path, const thaw_state *tensors,
                                           const thaw_strings *words);

/* ---- Feature files ------------------------------------------------------------------------------------------ */

/* Outputs of a frozen network for the samples of a data set, by rows: an HDF5 file with the dataset "features" (rows, width) float32 and
 * the root attributes format = "thaw-features", version = 1, key (of everything the values depend on), about (that, in words), digest (of
 * the values in order) and core_seconds (what computing them took). It is only ever a copy of what can be computed again. */
typedef struct thaw_feature_file thaw_feature_file;

typedef struct thaw_feature_info {
    thaw_digest key;
    int64_t rows, width;
    const char *about; /* written only; may be NULL */
} thaw_feature_info;

/* For writing, beside `path` under a name of this process's own; commit puts it there. Rows in order. Site: cache_write.
 * THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_feature_create(const char *path, const thaw_feature_info *info,
                                               thaw_feature_file **out);
THAW_NODISCARD thaw_status thaw_feature_append(thaw_feature_file *file, int64_t n,
                                               const float *values);
/* *file is freed in any case. */
THAW_NODISCARD thaw_status thaw_feature_commit(thaw_feature_file **file, double core_seconds);
/* THAW_ERR_INPUT: no such file, damaged as far as can be seen without reading all, or not with these key, rows and width. */
THAW_NODISCARD thaw_status thaw_feature_open(const char *path, const thaw_feature_info *info,
                                             thaw_feature_file **out);
/* Rows [first, first + n) of an open file, each part of it checked by its checksum. Site: cache_read. THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_feature_read(thaw_feature_file *file, int64_t first, int64_t n,
                                             float *values);
/* All rows, checked by the digest. */
THAW_NODISCARD thaw_status thaw_feature_read_all(thaw_feature_file *file, float *values);
double thaw_feature_core_seconds(const thaw_feature_file *file);
/* Takes NULL. What was not committed is thrown away. */
void thaw_feature_close(thaw_feature_file **file);

#ifdef __cplusplus
}
#endif
#endif
