/* train_impl.h - what the files of module train share. A run is set up once (thaw_setup: data, model, weights, rung), then a
 * thaw_trainer owns everything that a step needs; nothing is allocated between the second step and the last. */
#ifndef THAW_TRAIN_IMPL_H
#define THAW_TRAIN_IMPL_H

#include "thaw/ckpt.h"
#include "thaw/evidence.h"
#include "thaw/store.h"
#include "thaw/train.h"
#include "train/norms_impl.h"

/* ---- Config ------------------------------------------------------------------------------------------------- */

extern const thaw_field thaw_phase_fields[];
/* Runs a check of another module and puts the position of `path` in front of its message. */
THAW_NODISCARD thaw_status thaw_config_at(const thaw_conf *conf, const char *path,
                                          thaw_status status);
/* What fields of phases cannot say each for itself. THAW_ERR_CONFIG. Local. */
THAW_NODISCARD thaw_status thaw_phases_check(const thaw_conf *conf, const thaw_config *config);
/* The rung of a run with phases is that of the last one. THAW_ERR_CONFIG: it was given, and is another. Local. */
THAW_NODISCARD thaw_status thaw_phases_name_rung(const thaw_conf *conf, thaw_config *config);
/* The epoch that a phase lasts to at most, so that the later ones have theirs. */
int64_t thaw_phases_latest_end(const thaw_config *config, int64_t phase);

/* ---- Set-up ------------------------------------------------------------------------------------------------ */

/* Most plans that one set-up has opened. */
#define THAW_MOST_PLANS 8

/* How far a run with phases has come; checkpointed. Of a phase that has begun: where it did, and what it trains and sends. */
typedef struct thaw_phase_record {
    int64_t now;
    int64_t step[THAW_MOST_PHASES], epoch[THAW_MOST_PHASES];
    double seconds[THAW_MOST_PHASES]; /* thaw_progress_state.seconds at its beginning */
    int64_t trainable[THAW_MOST_PHASES];
    int64_t payload[THAW_MOST_PHASES]; /* bytes of one step, as counted */
} thaw_phase_record;

typedef struct thaw_setup {
    const thaw_config *config;
    thaw_rung rung;
    thaw_kern *kern;
    thaw_dataset *dataset;
    thaw_shared *samples;     /* of the splits below: one copy a node */
    int64_t train, val, gate; /* splits; -1: none */
    thaw_task task;
    const thaw_loss *loss;
    const thaw_metric *metric;        /* selects epochs */
    double *target_mean, *target_std; /* (K) of a regression: its training targets; else NULL */
    thaw_model *model;
    thaw_shared *weights; /* of the backbone as training starts: one copy a node */
    thaw_state begin;     /* views into it, by parameter name */
    /* This rank's copies of the backbone's parameters that train, block by block as phases thaw them. */
    void *own[THAW_MOST_PHASES];
    int own_count;
    bool *held;      /* by parameter: trains, or did in an earlier phase; so a checkpoint has it */
    int64_t *joined; /* by parameter that trains: step at which it began, or began again */
    thaw_phase_record phases; /* zeros without phases */
    thaw_backbone backbone; /* how its inputs and its network are described; empty without a file */
    bool has_backbone;
    thaw_digest backbone_digest; /* of the weights training starts from */
    int64_t choices_bytes;       /* of the choices that all ranks have */
    float *ranges;    /* of the frozen prefix's values, for 8 bits; NULL: it runs in floats */
    bool ranges_seen; /* on samples, for convolutions; thaw_ranges_check finds out */
    thaw_shared
        *constants[THAW_MOST_PLANS]; /* of its plans: packed forms of frozen weights, once a node */
    int constant_count;
    struct thaw_features
        *spare;              /* those of the phase before, while the next one is opened; or NULL */
    struct thaw_setup *lead; /* owner of kernels, data and frozen memory; NULL: itself */
} thaw_setup;

/* Predicting takes data without labels. */
typedef enum thaw_setup_purpose { THAW_SETUP_TRAIN, THAW_SETUP_PREDICT } thaw_setup_purpose;

/* Opens the data, builds the model, loads or draws weights, applies the rung. Collective. */
THAW_NODISCARD thaw_status thaw_setup_open(thaw_comm *comm, const thaw_config *config,
                                           const char *rung, thaw_setup_purpose purpose,
                                           thaw_setup *out);
/* A network of its own for another run with the same data, rung and seed: all that is frozen, and its packed forms, are `lead`'s, which
 * outlives it. Collective. */
THAW_NODISCARD thaw_status thaw_setup_join(thaw_comm *comm, thaw_setup *lead,
                                           const thaw_config *config, thaw_setup *out);
void thaw_setup_close(thaw_setup *setup);
/* A finished run, rebuilt from its files: its data (dataset_file NULL: its own) with `split` (NULL: its own) as val, and its
 * network with what was trained. Does not move: the set-up points to the config. Close it after an error too. Collective. */
typedef struct thaw_reopened {
    thaw_config config;
    thaw_setup setup;
} thaw_reopened;
THAW_NODISCARD thaw_status thaw_reopen(thaw_comm *comm, const char *run_directory,
                                       const char *dataset_file, const char *split,
                                       thaw_reopened *out);
void thaw_reopened_close(thaw_reopened *run);
/* Trained tensors of the backbone, running statistics too, become begin + share (trained - begin); the head stays as trained, since what it
 * began with knows nothing. THAW_ERR_USAGE: a share outside [0, 1], or a run that has no such tensors. Local. */
THAW_NODISCARD thaw_status thaw_setup_interpolate(thaw_setup *s, const char *run_directory,
                                                  double share);
/* Its steps, in this order. The first three are collective. */
THAW_NODISCARD thaw_status thaw_setup_data(thaw_comm *comm, thaw_setup *s,
                                           thaw_setup_purpose purpose);
THAW_NODISCARD thaw_status thaw_setup_backbone(thaw_comm *comm, thaw_setup *s);
/* Loss, metric and units for the data's task. THAW_ERR_CONFIG: settings that do not fit it. Local, after thaw_setup_data. */
THAW_NODISCARD thaw_status thaw_setup_task(thaw_setup *s, thaw_setup_purpose purpose);
/* Rows `indices` (NULL: the first n) of targets (N, K) as the network learns them, (n, K). */
void thaw_setup_targets(const thaw_setup *s, const float *targets, int64_t n,
                        const int64_t *indices, float *out);
/* Views on target_mean and target_std, where there are any. */
THAW_NODISCARD thaw_status thaw_setup_add_moments(const thaw_setup *s, thaw_state *out);
THAW_NODISCARD thaw_status thaw_setup_weights(thaw_comm *comm, thaw_setup *s); /* model outlined */
/* The backbone's parameters live in s->weights; `begin` names them. Local. */
THAW_NODISCARD thaw_status thaw_setup_place_backbone(thaw_setup *s);
/* After a rung was applied: parameters that train for the first time move out of the shared memory. `before` says what trained until now
 * (NULL: nothing). */
THAW_NODISCARD thaw_status thaw_setup_own_trained(thaw_setup *s, const bool *before);
/* Views on all parameters that are held, in the graph's order. Local. */
THAW_NODISCARD thaw_status thaw_setup_held(const thaw_setup *s, thaw_state *out);
/* Adapter, and head where it has one, from train.adapter_from; nothing when that is empty. Collective. */
THAW_NODISCARD thaw_status thaw_adapter_load(thaw_comm *comm, thaw_setup *s);
/* Choices of kernels for all ranks: rank 0 reads the user's cache, then the records in `shared` and `own` (NULL: none).
 * Collective. */
THAW_NODISCARD thaw_status thaw_choices_begin(thaw_comm *comm, thaw_setup *setup,
                                              const char *shared, const char *own);
/* Local, rank 0: into the user's cache; into the record in `directory`. */
void thaw_choices_keep(const thaw_setup *setup);
void thaw_choices_record(const thaw_setup *setup, const char *directory);
/* thaw_plan_new with one choice of kernels on all ranks. Collective. */
THAW_NODISCARD thaw_status thaw_plan_agree(thaw_comm *comm, thaw_setup *setup,
                                           const thaw_plan_options *options, thaw_plan **out);
/* Its constants once a node; the memory outlives the plan; NULL: it has none. Collective. */
THAW_NODISCARD thaw_status thaw_plan_share(thaw_comm *comm, thaw_plan *plan, thaw_shared **out);
/* The same for a plan of the set-up, which keeps the memory, or takes that of its lead. Collective. */
THAW_NODISCARD thaw_status thaw_plan_keep_constants(thaw_comm *comm, thaw_setup *setup,
                                                    thaw_plan *plan);
/* Opens and keeps. Collective. */
THAW_NODISCARD thaw_status thaw_plan_open(thaw_comm *comm, thaw_setup *setup,
                                          const thaw_plan_options *options, thaw_plan **out);
/* Bytes of the copy from which checkpoints are written while training goes on; 0 where they are not: asked for, or no room for it in the
 * memory budget, for all of `company` runs side by side. plan: of training. Local; ranks may differ. */
int64_t thaw_train_copy_bytes(const thaw_comm *comm, const thaw_setup *setup, const thaw_plan *plan,
                              int32_t company);
/* How many runs like this one fit into the memory budget side by side; at least 1. Collective. */
int32_t thaw_train_room(thaw_comm *comm, const thaw_setup *setup, const thaw_plan *plan);
/* The same for training: recomputes blocks as train.recompute says, within the memory budget. THAW_ERR_RESOURCE. Collective. */
THAW_NODISCARD thaw_status thaw_train_plan_open(thaw_comm *comm, thaw_setup *setup,
                                                const thaw_plan_options *options, thaw_plan **out);
/* Names of the classes, each with a newline. Appends. */
void thaw_class_names(const thaw_dataset *dataset, thaw_str *out);

/* The word of train.reduce. */
const char *thaw_reduce_name(const thaw_config *config);

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
/* As "prefix/ranges" of adaptation.h5, when there are any; evaluation needs the same ones. Local. */
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

/* ---- Trainer ------------------------------------------------------------------------------------------------ */

/* train.select, in the order of the config's words. */
enum { THAW_SELECT_METRIC, THAW_SELECT_LOSS, THAW_SELECT_LAST };

/* Words that ride in the payload of every step. */
enum { THAW_WORD_SAMPLES, THAW_WORD_CORRECT, THAW_WORD_STOP, THAW_WORD_COUNT };
enum { THAW_SUM_LOSS, THAW_SUM_WEIGHT, THAW_SUM_COUNT };

typedef struct thaw_position {
    int64_t step;          /* optimizer steps done */
    int64_t epoch;         /* epochs finished */
    int64_t step_in_epoch; /* steps done of the running epoch */
} thaw_position;

/* Running sums of an epoch and the selection; all of it is checkpointed. */
typedef struct thaw_progress_state {
    double loss_sum, weight_sum;
    int64_t samples, correct;
    double best_score, best_loss; /* score: the metric, negative where lower is better */
    int64_t best_epoch, stale_epochs;
    double seconds, train_seconds; /* over all starts of this run */
    double core_seconds;           /* likewise, from set-up to the end, each start with its ranks */
    int64_t samples_seen;
} thaw_progress_state;

typedef struct thaw_trainer {
    thaw_setup *setup;
    const thaw_config *config;
    const thaw_run_options *options;
    const char *directory;
    thaw_str rows_path; /* metrics.jsonl */
    thaw_feed train, val, gate;
    thaw_value from;         /* first value of the plans: input or boundary */
    thaw_prefix prefix;      /* of all feeds, where there is one */
    thaw_features own;       /* features of this run alone */
    thaw_features *features; /* own, those of options->pool, or NULL */
    int64_t hits_before;     /* of the features when this run began */
    thaw_plan *train_plan, *eval_plan;
    thaw_lanes lanes;
    struct thaw_trainer *lead; /* whose prefix it takes, and which outlives it; NULL: its own */
    thaw_reducer *reducer;     /* NULL in company */
    int32_t *exponents;        /* reduced tensor i: of its quantum in the next step */
    int64_t payload_bytes;     /* of one step of this run */
    thaw_optimizer *optimizer;
    int32_t parts; /* of the optimizer's work; rank r has part r */
    float *part_own,
        *part_all; /* (part_count), (parts, part_count): updated weights on their way */
    int64_t part_count, part_most, gathered_bytes; /* elements: at once, most; given last step */
    thaw_sampler sampler;
    float *class_weights;    /* (K) or NULL */
    float *input;            /* (lanes.count, most, width) */
    int64_t *indices;        /* (lanes.count, most) */
    int64_t *coming;         /* (most) of a shard that is asked for ahead */
    int64_t ahead;           /* so many shards of this rank further on */
    double train_waited;     /* seconds of the feed `train` */
    double data_seconds;     /* of them, this run's share in steps of this start */
    int64_t *batch, *sorted; /* (train.batch) of one step, where train has buckets */
    int32_t *labels;         /* (most) of a classification, or NULL */
    float *targets;          /* (most, K) of another task, or NULL */
    int32_t *other_labels; /* (most) of what samples are blended with, or NULL: labels are whole */
    float *shares;         /* (most) of labels; 1 - share is other_labels' */
    float *other_loss, *other_gradient; /* (most), (most, K) for other_labels */
    float *loss, *outputs;              /* (most), (most, K) */
    float **sums;                       /* reduced tensor i: its sum over the global batch */
    const float **gradients;            /* in the optimizer's order: pointers into sums */
    int32_t reduced_count;
    thaw_state trained; /* views on what trains, by parameter name */
    thaw_state best; /* copies of the selected epoch's values, same names; empty for select: last */
    thaw_state ema;  /* the average of `trained`, same names; empty without train.ema */
    thaw_state initial;     /* views on the trained backbone tensors as training began */
    float *features_before; /* (N val, D) or NULL: for drift */
    thaw_position position;
    thaw_progress_state state;
    int64_t bytes_per_step; /* gradient payload of the last step, counted where MPI is called */
    double last_loss, last_norm;
    double factor;      /* of the schedule, last step */
    bool stop;          /* agreed: somebody asked for a stop */
    bool done;          /* all its files are written */
    thaw_status failed; /* agreed: its numbers are not finite, as `error` says; it takes no step */
    thaw_error error;
    int32_t company; /* runs that go side by side, itself included */
    int32_t sharers; /* those that the time spent now is shared by; 0: it waits for the others */
    thaw_status pending;       /* a failure of this rank that the others have yet to hear of */
    thaw_ckpt_writer *writer;  /* on rank 0, where checkpoints are written meanwhile; else NULL */
    int64_t copy_bytes;        /* of its copy */
    double checkpoint_seconds; /* that steps of this start waited for checkpoints */
    int64_t checkpoints;       /* of this start */
    double opened;             /* thaw_seconds() when the run began to set up */
    double counted;            /* up to here core_seconds knows of this start */
    double startup_seconds;    /* from there to the first step */
    double longest;            /* seconds of a step with what followed it, in this start */
    thaw_progress progress;
    thaw_events *events;
} thaw_trainer;

/* lead: the first of those that go side by side, with a set-up that `setup` joined; NULL: alone, or the first. */
THAW_NODISCARD thaw_status thaw_trainer_open(thaw_comm *comm, thaw_setup *setup,
                                             const thaw_run_options *options, thaw_trainer *lead,
                                             thaw_trainer *out);
void thaw_trainer_close(thaw_trainer *trainer);
/* One optimizer step over one global batch; moves the position. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_step(thaw_trainer *trainer, thaw_comm *comm);
thaw_feed *thaw_trainer_feed(thaw_trainer *trainer, thaw_block_kind kind);
bool thaw_trainer_is_finished(const thaw_trainer *trainer);
bool thaw_trainer_is_due(const thaw_trainer *trainer); /* for a checkpoint */
/* This rank's word, by its own clock; once true it stays true. */
bool thaw_trainer_is_short_of_time(const thaw_trainer *trainer);

/* ---- Phases -------------------------------------------------------------------------------------------------- */

/* Of a run that is predicted with: what any phase trains is held; the rung stays that of the last one. Local. */
THAW_NODISCARD thaw_status thaw_phases_hold_all(thaw_setup *s);
/* A set-up of the first phase goes on to the one that the newest checkpoint is of, with the weights it has, so that what is frozen
 * now is as it was then; nothing without resume or without a checkpoint. Then it is ready for thaw_trainer_open. *features gets (N val, D)
 * of the network before it trained, for drift, where any phase trains the backbone. Collective. */
THAW_NODISCARD thaw_status thaw_phases_begin(thaw_comm *comm, thaw_setup *s,
                                             const thaw_run_options *options, float **features);
/* The last phase may be over, too: then so is the run. */
bool thaw_phases_is_over(const thaw_trainer *trainer);
/* Closes the trainer and opens it again for the next phase: what stays trained keeps its optimizer state and quanta, by name; what joins gets new
 * ones. Plans, features and reducer are made anew. All ranks agree on what trains and on all weights. After an error good for closing.
 * Collective. */
THAW_NODISCARD thaw_status thaw_phases_next(thaw_trainer *trainer, thaw_comm *comm);
/* The selected epoch's weights, or the average, take the place of the last one's; also without phases. Where they are of what is frozen by now, everything that was made from that is
 * made again. Collective. */
THAW_NODISCARD thaw_status thaw_phases_select(thaw_trainer *trainer, thaw_comm *comm);
/* A row of metrics.jsonl. Local, on the rank that writes. */
THAW_NODISCARD thaw_status thaw_phases_record(const thaw_trainer *trainer);
/* Sets summary "phases". */
void thaw_phases_add(const thaw_trainer *trainer, thaw_json *summary);
/* Views on the record, for a checkpoint; nothing without phases. Local. */
THAW_NODISCARD thaw_status thaw_phases_state(thaw_setup *s, thaw_state *out);

/* Trainers at the same position of the same samples, which differ in what they learn from them: the frozen prefix runs once for all, and one
 * reduction sums the gradients of all. Each gets the bits that it would get alone. */
typedef struct thaw_team {
    thaw_trainer **members;
    int32_t count;
    thaw_reducer *reducer; /* member m's tensors and words follow those of m - 1 */
} thaw_team;

/* Collective; needs the plans. */
THAW_NODISCARD thaw_status thaw_team_open_reducer(thaw_comm *comm, thaw_team *team);
/* One step of all members. Not *taken: one whose numbers are not finite was found (failed), and nobody moved. Taken: a member may have failed
 * all the same, in its update. Collective. */
THAW_NODISCARD thaw_status thaw_team_step(const thaw_team *team, thaw_comm *comm, bool *taken);
/* Records, and at the end of an epoch evaluation and selection. Collective. */
THAW_NODISCARD thaw_status thaw_team_after_step(const thaw_team *team, thaw_comm *comm);
/* Of a payload for all members, what is due to each: what it would send alone. */
int64_t thaw_team_share_bytes(const thaw_team *team, int64_t bytes);
/* Of a split without augmentation, with the present weights: (*out)[member]; rows[member] (N, D), freed by the caller. Collective. */
THAW_NODISCARD thaw_status thaw_team_predict(const thaw_team *team, thaw_comm *comm,
                                             thaw_block_kind kind, thaw_predictions **out);
void thaw_team_clear_predictions(const thaw_team *team, thaw_predictions **all);
THAW_NODISCARD thaw_status thaw_team_features(const thaw_team *team, thaw_comm *comm,
                                              thaw_block_kind kind, float **rows);

/* After a step, with train.ema: the average takes the new weights. Local. */
void thaw_ema_update(thaw_trainer *trainer);
/* Exchanges what trains and its average, until the next call. Nothing without train.ema. Local. */
void thaw_ema_swap(const thaw_team *team);
/* Into a summary: "ema", "ema_unsettled". Local. */
void thaw_ema_describe(const thaw_trainer *trainer, thaw_json *out);

/* Brings core_seconds up to now. Local. */
void thaw_trainer_count_time(thaw_trainer *trainer, const thaw_comm *comm);

/* Checkpoints: everything a run needs to go on, and nothing frozen. When a stop was agreed it is on the disk when this returns, else it may be
 * written while training goes on. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_save(thaw_trainer *trainer, thaw_comm *comm, bool best);
/* From now on checkpoints are written meanwhile, where that is asked for and has room; company is known. Local. */
THAW_NODISCARD thaw_status thaw_trainer_open_writer(thaw_trainer *trainer, const thaw_comm *comm);
/* Waits for one that is still being written. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_settle(thaw_trainer *trainer, thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_trainer_resume(thaw_trainer *trainer, thaw_comm *comm, bool *found);
/* The newest checkpoint of a run directory, if one is whole and of this config; *found says so. state must be {0}. Collective. */
THAW_NODISCARD thaw_status thaw_state_newest(thaw_comm *comm, const thaw_config *config,
                                             bool *found, thaw_state *state);
THAW_NODISCARD thaw_status thaw_trainer_write_adaptation(thaw_trainer *trainer, thaw_comm *comm);

/* As thaw_config_compare_file, for a text; `name` is what messages call it. Local. */
THAW_NODISCARD thaw_status thaw_config_compare(const char *name, const char *before,
                                               const thaw_config *now);

/* All steps of runs side by side, to the files that a finished one leaves; which failed by themselves, their `failed` says. Collective. */
THAW_NODISCARD thaw_status thaw_trainers_run(thaw_comm *comm, thaw_trainer **trainers,
                                             int32_t count);
/* What finished runs leave. Collective. */
THAW_NODISCARD thaw_status thaw_team_finish(const thaw_team *team, thaw_comm *comm);
int64_t thaw_trainer_total_steps(const thaw_trainer *trainer);
/* Of a running statistic: the share that the newest batch gets. */
float thaw_trainer_momentum(const thaw_trainer *trainer, const thaw_param *statistic);
/* How much of the running statistics is still what they were before the first step, in [0, 1]; 0 where none is updated. Above some
 * hundredths, evaluation runs another network than training did. */
double thaw_trainer_unsettled(const thaw_trainer *trainer);

/* What 8 bits change, into summary "int8": error of the features, and accuracy on val against floats. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_judge_precision(thaw_trainer *trainer, thaw_comm *comm,
                                                        thaw_json *out);
/* How far the backbone moved, into summary "drift". Collective. */
THAW_NODISCARD thaw_status thaw_drift_before(thaw_trainer *trainer, thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_drift_after(const thaw_team *team, thaw_comm *comm,
                                            thaw_json *const *out);
/* Adds ||w - w0|| / ||w0|| of each block with trained backbone tensors, by block name. Local. */
THAW_NODISCARD thaw_status thaw_drift_motion(const thaw_trainer *trainer, thaw_json *out);

/* Writes the trained weights as a backbone file with statistics of its features on the training split. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_save_backbone(thaw_trainer *trainer, thaw_comm *comm);

/* ---- The run directory ---------------------------------------------------------------------------------------- */

/* What stands in it already, seen by rank 0. */
typedef enum thaw_run_found { THAW_RUN_NEW, THAW_RUN_PARTIAL, THAW_RUN_COMPLETE } thaw_run_found;

/* *complete: nothing is left to do. THAW_ERR_USAGE, THAW_ERR_INPUT. Collective. */
THAW_NODISCARD thaw_status thaw_run_look(thaw_comm *comm, const thaw_config *config,
                                         const thaw_run_options *options, thaw_run_found *found,
                                         bool *complete);
/* Everything was opened and found good: the directory is made ready, and a resumed run gets its state. Collective. */
THAW_NODISCARD thaw_status thaw_run_begin(thaw_trainer *t, thaw_comm *comm, thaw_run_found found);
void thaw_run_announce(const thaw_trainer *t, const thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_run_check(const thaw_setup *setup); /* local */
/* "run/name" as a path that dies with *out. */
const char *thaw_run_path(const char *directory, const char *name, thaw_str *out);

#endif
