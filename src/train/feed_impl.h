/* feed_impl.h - what samples go through before they reach a plan: the frozen prefix, its kept features, lengths, feeds. */
#ifndef THAW_TRAIN_FEED_IMPL_H
#define THAW_TRAIN_FEED_IMPL_H

#include "train/setup_impl.h"

/* ---- The frozen prefix ------------------------------------------------------------------------------------- */

/* The frozen part of a network as a plan for inference, made when it is first needed. */
typedef struct thaw_prefix {
    thaw_setup *setup;
    thaw_graph *graph;
    thaw_kern *own_kern; /* NULL: the set-up's */
    thaw_shared *constants;
    thaw_value boundary;
    int64_t width, values; /* of one sample: out, in */
    int64_t batch;         /* samples of one run */
    thaw_plan *plan;
    float *input;   /* (batch, values) */
    int64_t passes; /* runs so far, on this rank */
    bool floats;    /* whatever the set-up's precision */
} thaw_prefix;

/* Something frozen comes before all that trains. */
bool thaw_has_prefix(const thaw_setup *s);
/* The kernels it runs on, by name. */
THAW_NODISCARD thaw_status thaw_prefix_kernels(const thaw_setup *s, const char **name);
/* Those kernels, opened, for the caller to close; NULL where they are the run's own. */
THAW_NODISCARD thaw_status thaw_prefix_own_kern(const thaw_setup *s, thaw_kern **out);
/* Values that the boundary is computed from, itself included: (*out)[value], to be freed. */
THAW_NODISCARD thaw_status thaw_prefix_values(const thaw_graph *g, bool **out);
/* Samples of one run of it. */
int64_t thaw_prefix_batch(const thaw_setup *s);
void thaw_prefix_init(thaw_prefix *p, thaw_setup *s);
/* Makes the plan. open: for all ranks, with one choice of kernels and constants once a node; collective. ready: for this rank, which needs it
 * after all, with the choices it has; local. */
THAW_NODISCARD thaw_status thaw_prefix_open(thaw_comm *comm, thaw_prefix *p);
THAW_NODISCARD thaw_status thaw_prefix_ready(thaw_prefix *p);
/* p->input (n, values) to out (n, width); n at most batch. */
void thaw_prefix_run(thaw_prefix *p, int64_t n, const int64_t *indices, float *out);
void thaw_prefix_close(thaw_prefix *p);

/* ---- 8 bits -------------------------------------------------------------------------------------------------- */

/* Where train.frozen_precision is int8: THAW_ERR_CONFIG with the reason when nothing is frozen, or kernels or network cannot. Local. */
THAW_NODISCARD thaw_status thaw_ranges_check(thaw_setup *s);
/* Checks, then sees ranges on training samples, which need no run's seed, or takes those of the pool (NULL: none). After
 * thaw_choices_begin. Collective. */
THAW_NODISCARD thaw_status thaw_ranges_open(thaw_comm *comm, thaw_setup *s, thaw_pool *pool);
/* THAW_ERR_CONFIG: these kernels run nothing of the frozen part in 8 bits. For a run that was opened again, where it is used. Local. */
THAW_NODISCARD thaw_status thaw_ranges_usable(thaw_setup *s);
/* That are looked at; 0 where no layer in 8 bits needs a range seen beforehand. */
int64_t thaw_ranges_samples(const thaw_setup *s);
#define THAW_RANGES_ENTRY "prefix/ranges"
/* As that of adaptation.h5, when there are any; evaluation needs the same ones. Local. */
THAW_NODISCARD thaw_status thaw_ranges_add(const thaw_setup *s, thaw_state *out);
THAW_NODISCARD thaw_status thaw_ranges_load(thaw_setup *s, const char *path,
                                            const thaw_state *state);

/* ---- Kept features ------------------------------------------------------------------------------------------- */

/* What the frozen part of a network gives for every sample, computed once by all ranks of a group: in the node's shared memory, or where it
 * is larger than train.cache_limit_gib in a file that each rank reads by rows. Runs with the same key may share it. */
typedef enum thaw_block_kind { THAW_BLOCK_TRAIN, THAW_BLOCK_VAL, THAW_BLOCK_GATE } thaw_block_kind;

/* The samples of one split in one view (-1: as they are), from row `first` on. */
typedef struct thaw_block {
    thaw_block_kind kind;
    int64_t view, first, N;
} thaw_block;

typedef struct thaw_features {
    thaw_digest key;
    thaw_digest file_key; /* key and the algorithms that were chosen */
    const char *kernels;  /* that compute them */
    thaw_str about;       /* the key's main parts, in words */
    int64_t width;        /* values of a row */
    thaw_block *blocks;   /* train: as it is, then its views; val; gate */
    int64_t block_count;
    int64_t chunk;        /* rows computed together; blocks start at multiples */
    int64_t chunks, rows; /* of all blocks, with what fills up the last chunk of each */
    int64_t samples;      /* without it */
    thaw_shared *memory;  /* (rows, width), or NULL */
    thaw_feature_file *file;
    float *row;          /* (chunk, width) staging for the file */
    bool lost;           /* this rank could not read the file: it computes from then on */
    bool loaded;         /* from a file of an earlier run */
    double core_seconds; /* of computing them all, on as many ranks as there were */
    int64_t hits;        /* rows this rank read */
} thaw_features;

/* False, and lost from now on, where they cannot be read. */
bool thaw_features_read(thaw_features *f, int64_t block, int64_t n, const int64_t *indices,
                        float *out);
void thaw_features_close(thaw_features *f);
/* Block of a split without augmentation. */
int64_t thaw_features_block(const thaw_features *f, thaw_block_kind kind);
int64_t thaw_features_bytes(const thaw_features *f);
/* Why features of this set-up are not kept, as one sentence, or NULL. */
const char *thaw_features_refuse(const thaw_setup *s);
/* Blocks, sizes and key, without any value. f must be {0}. Local. */
THAW_NODISCARD thaw_status thaw_features_plan(thaw_features *f, const thaw_setup *s);
THAW_NODISCARD thaw_status thaw_features_key(thaw_features *f, const thaw_setup *s);
/* Of all that ranges depend on: the frozen network, its weights, the data, the kernels. */
THAW_NODISCARD thaw_status thaw_ranges_key(const thaw_setup *s, thaw_digest *out);
void thaw_features_file_key(thaw_features *f, const thaw_prefix *prefix); /* prefix open */
/* Plans, then loads or computes. *kept is false, after one line in the log, where there is no room for them. Collective. */
THAW_NODISCARD thaw_status thaw_features_open(thaw_comm *comm, thaw_features *f, thaw_setup *s,
                                              bool *kept);
/* The directory for files of features: train.cache_dir, else the run's where they are to stay, else TMPDIR, else the run's. */
void thaw_features_directory(const thaw_config *config, thaw_str *out);
bool thaw_features_fit(const thaw_config *config, int64_t bytes);

/* Into memory or a file. *kept: see above. Collective. */
THAW_NODISCARD thaw_status thaw_features_fill(thaw_comm *comm, thaw_features *f,
                                              const thaw_setup *s, thaw_prefix *prefix);
THAW_NODISCARD thaw_status thaw_features_spill(thaw_comm *comm, thaw_features *f,
                                               const thaw_setup *s, thaw_prefix *prefix,
                                               bool *kept);
THAW_NODISCARD thaw_status thaw_features_load(thaw_comm *comm, thaw_features *f,
                                              const thaw_setup *s, bool *found);
void thaw_features_keep(thaw_comm *comm, thaw_features *f, const thaw_setup *s);
/* Collective. Whether this rank writes files in that directory; where a file of features is. */
bool thaw_features_writer(thaw_comm *comm, const char *directory);
void thaw_features_path(thaw_comm *comm, const thaw_features *f, const thaw_config *config,
                        thaw_str *out);
/* "conv2d after layer1.0.conv1", "input". */
void thaw_boundary_name(const thaw_graph *graph, char *out, size_t bytes);

/* What the runs of one process have in common; runs hold it only while they run. */
struct thaw_pool {
    thaw_features features;
    bool filled;
    bool missed;   /* there is a frozen prefix, but its features are not kept */
    float *ranges; /* those seen last, and what they depend on */
    int32_t range_count;
    thaw_digest ranges_of;
    /* Of the set-up that was prepared, in floating-point operations a sample; its trained parameters. */
    double prefix_flops, rest_flops, trained;
    int64_t samples, steps; /* of an epoch */
};
THAW_NODISCARD thaw_status thaw_pool_prepare(thaw_comm *comm, thaw_pool *pool, thaw_setup *s,
                                             bool quiet);
/* *out gets the pool's features when they have this set-up's key on all ranks, else NULL. Collective over the run's ranks. */
THAW_NODISCARD thaw_status thaw_pool_find(thaw_comm *comm, thaw_pool *pool, const thaw_setup *s,
                                          thaw_features **out);

/* Reads ahead up to so many rows of the dataset, where it is read by rows and the config does not say no. */
THAW_NODISCARD thaw_status thaw_setup_ahead(const thaw_setup *s, int64_t rows);

/* ---- Texts of like length --------------------------------------------------------------------------------------- */

/* How a sample is cut to fewer tokens: of each of its `parts` parts of `whole` values the first `kept` stay. */
typedef struct thaw_crop {
    int64_t tokens; /* as in thaw_run; 0: all */
    int64_t parts, whole, kept;
} thaw_crop;

/* What lengths the samples of a split are run at (data.bucket_lengths). */
typedef struct thaw_buckets {
    thaw_crop *crops; /* from short to long; the last keeps all. NULL: every sample is run whole */
    int32_t count;
    int32_t *crop_of; /* (N) the shortest that a sample fits into */
} thaw_buckets;

/* For plans from this value on (-1: the input). Leaves *out empty where data.bucket_lengths is off, or the plans begin behind the last token.
 * Local. THAW_ERR_CONFIG: no texts. */
THAW_NODISCARD thaw_status thaw_buckets_open(const thaw_setup *s, int64_t split, thaw_value from,
                                             thaw_buckets *out);
void thaw_buckets_close(thaw_buckets *b);
/* A plan that begins there may run all its lengths from now on. */
THAW_NODISCARD thaw_status thaw_buckets_fit(const thaw_buckets *b, thaw_plan *plan);
/* Samples in the order of lengths, and of places where lengths are equal. */
void thaw_buckets_sort(const thaw_buckets *b, int64_t n, const int64_t *indices, int64_t *out);
/* Cuts n samples where they lie to the longest one's length, and returns what a run is to be told; 0 where there are no buckets. */
int64_t thaw_buckets_crop(const thaw_buckets *b, int64_t n, const int64_t *indices, float *x);

/* ---- Feeds and sweeps --------------------------------------------------------------------------------------- */

/* Fixed views are the same for all seeds: the cache is shared by them. */
#define THAW_VIEW_SEED UINT64_C(0x7468617776696577)

/* Where samples of one split come from: the dataset, through the frozen prefix where there is one, or features that were kept. */
typedef struct thaw_feed {
    const thaw_dataset *dataset;
    int64_t split, N, width;     /* width: values of one sample as the plan takes it */
    const thaw_augment *augment; /* NULL: none */
    uint64_t seed;
    int64_t views;  /* fixed augmented views, epoch e has view e % views; 0: each epoch differs */
    float *scratch; /* (H * W), for augment */
    float *other;   /* one sample, that another is blended with */
    thaw_prefix *prefix;     /* NULL: samples as the dataset has them */
    thaw_features *features; /* NULL: not kept */
    int64_t block;           /* of the features: samples without augmentation; views follow */
    double *
        waited; /* seconds that this rank waited for the dataset are added here; NULL: not counted */
    thaw_buckets buckets; /* empty: every sample is run whole */
} thaw_feed;

THAW_NODISCARD thaw_status thaw_feed_open(thaw_feed *feed, const thaw_dataset *dataset,
                                          int64_t split);
void thaw_feed_close(thaw_feed *feed);
/* How this feed blends a sample in this epoch: false where it does not blend. Its targets are to be blended alike. */
bool thaw_feed_blend(const thaw_feed *feed, uint32_t epoch, int64_t index, thaw_blend *out);
/* out (n, width); epoch is for augmentation. */
THAW_NODISCARD thaw_status thaw_feed_read(const thaw_feed *feed, uint32_t epoch, int64_t n,
                                          const int64_t *indices, float *out);
/* These samples will be read in this epoch, in this order; see thaw_dataset_ask. Nothing when kept features will be read instead. */
void thaw_feed_ask(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices);

/* Plans of one shape that take the same samples; of each the rows of one value, `width` wide. */
typedef struct thaw_sweep_plans {
    thaw_plan **plans;
    int32_t count;
    thaw_value value;
    int64_t width;
} thaw_sweep_plans;

/* Runs the plans over every sample of a feed in chunks of `chunk`, whose cut does not depend on the rank count (with buckets a chunk is of like
 * length); rows[p] (N, width), in the order of the samples, freed by the caller, also after a failure, and equal on all ranks.
 * Collective. */
THAW_NODISCARD thaw_status thaw_sweep(thaw_comm *comm, const thaw_feed *feed,
                                      const thaw_sweep_plans *plans, int64_t chunk, float **rows);

/* Everything that predictions hold, from logits (N, K) of a split. Local. */
THAW_NODISCARD thaw_status thaw_predictions_from_logits(const thaw_setup *setup, int64_t split,
                                                        const float *logits, thaw_predictions *out);

#endif
