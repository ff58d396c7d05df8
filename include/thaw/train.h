/* thaw/train.h - one run: the config, the training loop, evaluation, what a run directory holds.
 *
 * A run is one rung with one seed and one set of rates. thaw_train_run is collective over the communicator it is given, which may
 * be a sub-group: a run's result does not depend on the group's size. Everything is written below one run directory:
 *   config.yaml  metrics.jsonl  summary.json  predictions-<split>.h5  adaptation.h5  checkpoints/  tb/
 *
 * Life of a run: thaw_config_load -> thaw_train_run (sets up, resumes or starts, steps, evaluates, writes summary.json last: its presence
 * with "complete": true means done) -> thaw_eval_run / the ladder read the files back. */
#ifndef THAW_TRAIN_H
#define THAW_TRAIN_H

#include "thaw/adapt.h"
#include "thaw/base.h"
#include "thaw/comm.h"
#include "thaw/conf.h"
#include "thaw/data.h"
#include "thaw/evidence.h"
#include "thaw/model.h"
#include "thaw/optim.h"
#include "thaw/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Config ----------------------------------------------------------------------------------------------- */

enum { THAW_KERNELS_MEASURE, THAW_KERNELS_RULE };
enum { THAW_PRECISION_F32, THAW_PRECISION_INT8 };
enum { THAW_PREFETCH_AUTO, THAW_PREFETCH_OFF };
enum { THAW_NORM_SHARD, THAW_NORM_SYNC };
enum { THAW_RECOMPUTE_AUTO, THAW_RECOMPUTE_ON, THAW_RECOMPUTE_OFF };

typedef struct thaw_data_config {
    char *file; /* dataset file (thaw data import) */
    char *train, *val, *gate,
        *test;           /* names of the splits; gate and test may be empty for `thaw train` */
    thaw_strings slices; /* slice names to report; empty: all that the file has */
    bool class_slices;   /* one slice per class as well */
    thaw_augment augment;
    double memory_limit_gib; /* splits above it are read by rows */
    bool bucket_lengths;     /* texts of like length share a shard, which is run so long only */
    int prefetch;            /* of them: THAW_PREFETCH_AUTO or THAW_PREFETCH_OFF */
} thaw_data_config;

typedef struct thaw_model_config {
    char *arch;         /* "" : the backbone file's */
    int64_t base_width; /* 0: the architecture's own */
    int64_t patch;      /* vision transformers; 0: the usual, or the backbone file's */
    int pool;           /* the same: thaw_pool_rule */
    thaw_ints hidden;   /* mlp */
    double head_dropout;
    int64_t head_hidden; /* 0: the head is one linear layer */
    int head_activation; /* thaw_activation */
    bool zero_init_residual;
    char *backbone; /* backbone file; "" only for rung scratch */
} thaw_model_config;

typedef struct thaw_train_config {
    int64_t epochs, batch, shards, eval_batch;
    int reduce;           /* thaw_reduce_mode */
    bool shard_optimizer; /* each rank keeps the optimizer's state of its part of what trains */
    char *loss, *metric;  /* names, or "auto" */
    double label_smoothing;
    double bss; /* strength of batch spectral shrinkage, on each shard's features; 0: none */
    int64_t bss_values; /* of so many of its smallest singular values */
    double ema;         /* decay of the average of what trains; 0: none */
    int batch_norm;     /* statistics of one that trains: THAW_NORM_SHARD or THAW_NORM_SYNC */
    double batch_norm_momentum; /* PyTorch's meaning; 0: the architecture's own */
    int class_weights;          /* 0 none, 1 balanced (N / (K * count)) */
    int64_t early_stopping; /* epochs without improvement of val; 0: off, the last epoch is taken */
    int select; /* which epoch's weights are kept: 0 best metric on val (ties: val loss), 1 best val loss, 2 last */
    int cache;              /* frozen features: 0 auto, 1 off */
    double cache_limit_gib; /* of memory, a node */
    char *cache_dir;        /* for files of features; "": see docs/config.md */
    bool cache_keep;        /* features stay in a file for later starts */
    int64_t views; /* fixed augmented views of each training sample; 0: new ones every epoch */
    int frozen_precision;     /* THAW_PRECISION_F32 or THAW_PRECISION_INT8: of the frozen prefix */
    int recompute;            /* thaw_recompute */
    double memory_gib;        /* of a rank; 0: its share of the node's */
    int64_t log_every;        /* steps between rows in metrics.jsonl */
    int64_t check_every;      /* steps between comparisons of ranks; 0: each epoch */
    int64_t checkpoint_every; /* steps between checkpoints; 0: each epoch */
    int64_t checkpoint_keep;
    double watchdog;      /* seconds without progress after which the job ends; 0: never */
    int checkpoint_async; /* 0 auto, 1 off */
    char *
        save_backbone; /* write the trained backbone to this file, with its source feature statistics */
    char *head_from;    /* adaptation.h5 whose head is the starting head (LP-FT); "" fresh */
    char *adapter_from; /* directory of a PEFT adapter that training goes on from; "" fresh */
} thaw_train_config;

enum { THAW_LIMIT_WARN, THAW_LIMIT_CUT, THAW_LIMIT_ROLLBACK };

/* How far the backbone may move: ||w - w0|| / ||w0|| of each block; 0: as far as it goes. */
typedef struct thaw_limit_config {
    double epoch, total; /* in an epoch, from its start; since training began */
    int action;          /* THAW_LIMIT_WARN, ... */
    double factor;       /* cut, rollback: on the backbone's rates from then on */
} thaw_limit_config;

enum { THAW_WATCH_OFF, THAW_WATCH_WARN, THAW_WATCH_STOP };

/* A run that reuses a backbone beside one from scratch: val of both at the same epoch, paired by sample. */
typedef struct thaw_watch_config {
    int action;          /* THAW_WATCH_OFF, ... */
    char *scratch;       /* directory of the finished run from scratch; a ladder names its own */
    int64_t evaluations; /* running, in which val is surely worse */
} thaw_watch_config;

/* Rates of a phase; negative: as in thaw_config.rates. */
typedef struct thaw_phase_rates {
    double head, backbone, adapter, layer_decay;
} thaw_phase_rates;

/* A part of a run in which the same parameters train. It ends at the end of an epoch: after `epochs` of them, or when val has not got better
 * for `patience` of them, whichever comes first, but early enough that every later phase has its epochs, or one. */
typedef struct thaw_phase_config {
    char *rung;
    int64_t epochs;   /* 0: no number is set */
    int64_t patience; /* 0: off */
    thaw_phase_rates rates;
} thaw_phase_config;

#define THAW_MOST_PHASES 32

typedef struct thaw_ladder_config {
    thaw_strings rungs; /* in order of depth */
    int64_t seeds;
    int mode; /* 0 sequential, 1 exhaustive */
    int64_t ranks_per_trial;
    int together; /* candidate rates on one frozen prefix: 0 auto, 1 off */
    thaw_doubles search_scratch, search_head, search_adapter,
        search_backbone;   /* learning-rate candidates; equal lengths */
    bool head_from_frozen; /* LP-FT: partial and full start from the frozen rung's head */
    double min_effect;     /* smallest gain worth a deeper rung (accuracy, 0.01 = one point) */
    double margin;         /* equivalence margin */
    double alpha, confidence, power;
    double slice_tolerance; /* a slice may not fall by more */
    double slice_floor;     /* a slice below this accuracy counts as failing; 0: none */
    int64_t resamples;
} thaw_ladder_config;

/* A machine to extrapolate to, by the model of thaw/scale.h; 0: the value that was fitted. */
typedef struct thaw_machine_config {
    double alpha, beta; /* seconds a step of an all-reduce; seconds a byte */
    int64_t ranks_per_node;
    thaw_ints ranks; /* empty: no extrapolation */
} thaw_machine_config;

typedef struct thaw_scale_config {
    thaw_strings rungs; /* empty: those of the ladder */
    thaw_ints ranks;
    int mode; /* THAW_SCALE_STRONG, ... */
    int64_t steps, warmup, repeats;
    thaw_machine_config machine;
} thaw_scale_config;

enum { THAW_SCALE_STRONG, THAW_SCALE_WEAK, THAW_SCALE_BOTH };

typedef struct thaw_config {
    char *name;
    char *output; /* run directory */
    int64_t seed;
    char *backend;      /* as thaw_kern_open takes it */
    int kernels;        /* how algorithms are chosen: THAW_KERNELS_MEASURE or THAW_KERNELS_RULE */
    char *rung;         /* `thaw train`; with phases that of the last one */
    double log_seconds; /* seconds between progress lines in a log file */
    thaw_data_config data;
    thaw_model_config model;
    thaw_peft peft;
    thaw_train_config train;
    thaw_optim_config optimizer;
    thaw_schedule schedule;
    thaw_rates rates;
    thaw_limit_config limit;
    thaw_watch_config watch;
    thaw_tables
        phases; /* thaw_phase_config, at most THAW_MOST_PHASES; none: one rung all the time */
    thaw_ladder_config ladder;
    thaw_scale_config scale;
} thaw_config;

extern const thaw_field thaw_config_fields[];

/* Reads, fills and cross-checks (batch and shards, search lists of one length, rung and architecture names). Local: read on one
 * rank, broadcast the text and parse it on all. THAW_ERR_CONFIG with file:line:column. Cleared with thaw_config_clear. */
THAW_NODISCARD thaw_status thaw_config_parse(const char *name, const char *text, size_t bytes,
                                             const thaw_strings *overrides, thaw_config *out);
THAW_NODISCARD thaw_status thaw_config_load(const char *path, const thaw_strings *overrides,
                                            thaw_config *out);
void thaw_config_clear(thaw_config *config);
/* One of config->phases. */
const thaw_phase_config *thaw_config_phase(const thaw_config *config, int64_t phase);
/* Rates in a phase, with those of the run where it says nothing; without phases those of the run. As the batch scales them; borrows the run's
 * reason. */
thaw_rates thaw_config_rates(const thaw_config *config, int64_t phase);
/* Deep copy. */
THAW_NODISCARD thaw_status thaw_config_copy(const thaw_config *from, thaw_config *to);
/* May what was begun with the config in this file go on with `now`? THAW_ERR_CONFIG naming the first setting that differs and changes
 * what trials give; names, paths, logging and the ladder's settings may differ. Local. */
THAW_NODISCARD thaw_status thaw_config_compare_file(const char *path, const thaw_config *now);
/* Every setting in which two runs differ and that may change what a run gives, as {"setting", "a", "b"} with the values as YAML, appended to
 * an array. Names, paths (data and backbone are known by their digests), logging and the ladder's settings are left out. */
void thaw_config_differences(const thaw_config *a, const thaw_config *b, thaw_json *list);

/* ---- One run ---------------------------------------------------------------------------------------------- */

/* What several runs of one process share: the kept features of a frozen prefix. Runs may be on sub-groups of the ranks that filled it. */
typedef struct thaw_pool thaw_pool;
THAW_NODISCARD thaw_status thaw_pool_new(thaw_pool **out);
void thaw_pool_free(thaw_pool **pool); /* takes NULL */
/* After thaw_train_prepare: the rung has a frozen prefix whose features are not kept, so that runs of it are best trained together. */
bool thaw_pool_missed(const thaw_pool *pool);
/* Then: what each of `ranks` does in an epoch that `runs` go through side by side, in floating-point operations that would take as long. */
double thaw_pool_epoch_work(const thaw_pool *pool, int64_t runs, int64_t ranks);

typedef struct thaw_run_options {
    bool resume; /* continue from the newest valid checkpoint; a complete run returns at once */
    const char *
        checkpoint; /* with resume: this file instead; of one run, not of several; NULL: the newest */
    bool overwrite; /* without resume: an existing run directory is an error unless this is set */
    bool quiet;
    bool
        predict_gate; /* write predictions of val and gate (the ladder); test is never opened here */
    const char *
        choices_from; /* a directory whose record of kernel choices a fresh run takes over; NULL: none */
    bool (*stop)(void *context); /* asked once a step on every rank; true on any asks for a stop */
    void *stop_context;
    double
        deadline; /* by thaw_seconds() of this rank; before it the run stops and saves, see thaw_train_run; 0: none */
    thaw_pool *pool; /* may be NULL; outlives the run */
} thaw_run_options;

/* Trains one rung as `config` says and writes the run directory. Collective; config must be equal on all ranks.
 * THAW_ERR_STOPPED: a stop was requested (SIGTERM, SIGUSR1), or some rank's deadline has no room for
 * two more of the longest step so far, evaluation and checkpoint included, and 15 seconds; state saved. At least one step is taken. */
THAW_NODISCARD thaw_status thaw_train_run(thaw_comm *comm, const thaw_config *config,
                                          const thaw_run_options *options);

/* Trains runs that learn from the same samples in the same order: the configs may differ in rates, optimizer, schedule, name, output and
 * train.save_backbone; with another seed the order is another. Each leaves in its directory what thaw_train_run would have left, bit for bit, but
 * for figures of time and "trained_together" in its summary; time that was spent on several runs is shared out evenly. Where a frozen
 * prefix has to run in every step, because its features are not kept, it runs once for all of them (as many as train.memory_gib has room
 * for), and one reduction a step sums the gradients of all; otherwise, and with train.reduce: float, they are trained one after another.
 * outcomes[i].code: THAW_OK, or THAW_ERR_NUMERIC for a run whose numbers were not finite, which ends that run alone. Any other
 * failure, or a stop, is the status and ends all (outcomes of those that had ended by themselves are there all the same); with options->resume each goes on from its newest checkpoint, and those that are behind
 * catch up first. Collective; configs must be equal on all ranks. */
THAW_NODISCARD thaw_status thaw_train_together(thaw_comm *comm, const thaw_config *configs,
                                               int64_t count, const thaw_run_options *options,
                                               thaw_error *outcomes);

/* Makes runs of a rung ready that will go on sub-groups, which must not differ: settles the choices of kernels and records them in
 * `directory`; and all ranks compute the frozen features, or load them, once, into the pool (NULL: not wanted), which first gives up what it
 * held of another prefix. Where nothing can be kept the pool is empty, and unless `quiet` one line says why. No run may use the pool at that
 * time. Collective; config must be equal on all ranks. Statuses as thaw_train_run. */
THAW_NODISCARD thaw_status thaw_train_prepare(thaw_comm *comm, const thaw_config *config,
                                              const char *rung, const char *directory,
                                              thaw_pool *pool, bool quiet);

/* train.metric, or where that is auto the metric of the data's task. THAW_ERR_CONFIG: it does not fit. Local. */
THAW_NODISCARD thaw_status thaw_config_metric(const thaw_config *config,
                                              const thaw_dataset *dataset, const thaw_metric **out);

/* Sets "looked", "repeats" by split, and "pairs" with "a", "b", figures and "text". */
void thaw_leaks_to_json(const thaw_dataset *ds, const thaw_leaks *leaks, thaw_json *out);
/* Warns of each pair of the config's splits that shares samples or clusters, and says where it was not looked for because there is more of x than
 * data.memory_limit_gib; *out (may be NULL) as thaw_leaks_to_json. Reads all of x: on one rank. Local. */
THAW_NODISCARD thaw_status thaw_config_find_leaks(const thaw_config *config, const thaw_dataset *ds,
                                                  thaw_json *out);

/* What was chosen on a split cannot be judged on it: THAW_ERR_CONFIG where two of train, val, gate and, if `test`, test have one name. Empty
 * names are none. Local. */
THAW_NODISCARD thaw_status thaw_config_check_splits(const thaw_data_config *data, bool test);

/* Whether the frozen part of a rung can run as train.frozen_precision says; if not, the reason is added to `why`. Trains nothing and sees no
 * ranges. Collective; equal on all ranks. Statuses as of setting up a run. */
THAW_NODISCARD thaw_status thaw_train_eight_bits(thaw_comm *comm, const thaw_config *config,
                                                 const char *rung, bool *can, thaw_str *why);

/* Installs handlers that only set a flag: SIGTERM, SIGINT, SIGUSR1 ask for a stop. */
void thaw_stop_on_signals(void);
bool thaw_stop_requested(void);

/* ---- Evaluation and predictions --------------------------------------------------------------------------- */

/* Predictions of one split in the dataset's order; equal on all ranks and for any rank count. */
typedef struct thaw_predictions {
    thaw_task task;
    int64_t N, K;
    bool labelled;      /* what is true is known; else loss and score are NaN */
    int32_t *labels;    /* (N) of a classification, -1 without labels; else NULL */
    int32_t *predicted; /* (N) of a classification; else NULL */
    float *targets;     /* (N, K) of the other tasks, in the user's units; else NULL */
    float
        *outputs;  /* (N, K) probabilities; of a regression predicted values, in the user's units */
    float *loss;   /* (N) the task's default loss, without smoothing or weights */
    float *score;  /* (N) thaw_metric_of_sample */
    double *scale; /* (K) of a regression: standard deviations of its training targets; else NULL */
    int32_t *cluster; /* (N) or NULL */
    int64_t *ids;     /* (N) of the samples in the dataset, or NULL where it has none */
} thaw_predictions;

void thaw_predictions_clear(thaw_predictions *p);
/* Puts the samples in another order: row i becomes what row from[i] was; from (N) has each row once. */
THAW_NODISCARD thaw_status thaw_predictions_reorder(thaw_predictions *p, const int64_t *from);
/* Of the samples in a slice (mask NULL: all); NaN when there are none. */
double thaw_predictions_loss(const thaw_predictions *p, const uint8_t *mask);
/* As thaw_metric_value and thaw_metric_interval, of the samples in a slice (mask NULL: all). Without labels: NaN. */
THAW_NODISCARD thaw_status thaw_predictions_metric(const thaw_predictions *p, const uint8_t *mask,
                                                   const thaw_metric *metric, double *value,
                                                   char *why);
THAW_NODISCARD thaw_status thaw_predictions_interval(const thaw_predictions *p, const uint8_t *mask,
                                                     const thaw_metric *metric,
                                                     const thaw_bootstrap *how, thaw_interval *out);
/* As thaw_metric_scores, over all samples: (N). */
THAW_NODISCARD thaw_status thaw_predictions_scores(const thaw_predictions *p,
                                                   const thaw_metric *metric, float *scores);
/* As thaw_metric_df, over all samples. */
THAW_NODISCARD thaw_status thaw_predictions_df(const thaw_predictions *p, const thaw_metric *metric,
                                               double *out);
/* Sets "loss" and every metric of the task by its name; "undefined" holds the reasons of those that are null or leave columns out. */
THAW_NODISCARD thaw_status thaw_predictions_describe(const thaw_predictions *p, thaw_json *out);
/* Sets "name", "title", "score" (title of what is paired), "lower_is_better", "share". */
void thaw_metric_to_json(const thaw_metric *metric, thaw_json *out);
/* Of a classification, with labels: what the next two ask for. */
bool thaw_predictions_calibrates(const thaw_predictions *p);
/* thaw_temperature_fit of what is predicted: of val, to be applied to other splits. */
double thaw_predictions_temperature(const thaw_predictions *p);
/* thaw_calibrate at a temperature, 1: as they are, over clusters where there are some. */
THAW_NODISCARD thaw_status thaw_predictions_calibrate(const thaw_predictions *p, double temperature,
                                                      const thaw_bootstrap *how,
                                                      thaw_calibration *out);
/* The temperature that fits val of a finished run, by its predictions-val.h5. Collective. THAW_ERR_USAGE: no classification, or val has no
 * labels or other classes. THAW_ERR_INPUT: the file is gone. */
THAW_NODISCARD thaw_status thaw_run_temperature(thaw_comm *comm, const char *run_directory,
                                                int64_t classes, double *temperature);
/* Outputs at that temperature; predicted classes and losses stay those of 1. Local. */
void thaw_predictions_temper(thaw_predictions *p, double temperature);
/* Sets "bins", "ece", "ece_interval", "brier", "brier_interval", "nll", "nll_interval". */
void thaw_calibration_to_json(const thaw_calibration *calibration, thaw_json *out);
/* predictions-<split>.h5 of a run directory. Collective: rank 0 reads or writes, everybody has the result. */
THAW_NODISCARD thaw_status thaw_predictions_read(thaw_comm *comm, const char *run_directory,
                                                 const char *split, thaw_predictions *out);
THAW_NODISCARD thaw_status thaw_predictions_write(thaw_comm *comm, const char *run_directory,
                                                  const char *split, const thaw_predictions *p);

/* Rebuilds the model of a finished run from its files and evaluates it on one split of `dataset_file` (NULL: the run's own).
 * Collective. THAW_ERR_INPUT when the run is not complete, or dataset and model do not fit. */
THAW_NODISCARD thaw_status thaw_eval_run(thaw_comm *comm, const char *run_directory,
                                         const char *dataset_file, const char *split,
                                         thaw_predictions *out);
/* The same with weights of the backbone between those it started with (share 0) and the trained ones (1): start + share (trained - start),
 * WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903; the head as trained. A share is chosen on val. Collective. THAW_ERR_USAGE: nothing of
 * the backbone was trained, or it was from scratch, or there is an adapter. */
THAW_NODISCARD thaw_status thaw_eval_interpolated(thaw_comm *comm, const char *run_directory,
                                                  const char *dataset_file, const char *split,
                                                  double share, thaw_predictions *out);

/* What other programs load of a finished run. */
typedef enum thaw_export_format {
    THAW_EXPORT_SAFETENSORS, /* backbone and head under the names of their origin: load_state_dict(strict=True) */
    THAW_EXPORT_PEFT, /* a directory that Hugging Face's PeftModel.from_pretrained reads: adapter and head */
    THAW_EXPORT_HDF5, /* backbone, head and adapter under our names */
    THAW_EXPORT_COUNT
} thaw_export_format;
const char *const *thaw_export_names(void); /* "safetensors", "peft", "hdf5"; ends with NULL */

typedef struct thaw_export_options {
    thaw_export_format format;
    const char *path;
    bool merge;     /* adapters are folded into the weights first */
    double share;   /* as in thaw_eval_interpolated; 1: as trained */
    bool overwrite; /* what is there already is replaced; else that is an error */
    bool
        in_memory; /* peft: names that transformers 5 has in memory, where they differ from those of files */
} thaw_export_options;

/* Writes it to options->path. The head of a regression gives targets in their own units. Collective. THAW_ERR_USAGE: the format cannot hold what
 * the run trained, names the way out; or the path exists. */
THAW_NODISCARD thaw_status thaw_export_run(thaw_comm *comm, const char *run_directory,
                                           const thaw_export_options *options);

/* ---- What a config costs, without training ------------------------------------------------------------------ */

typedef struct thaw_cost {
    int64_t parameters_total, parameters_trainable;
    double forward_flops, backward_flops;             /* per sample */
    size_t arena_bytes, state_bytes, allreduce_bytes; /* per rank; all-reduce payload per step */
    size_t constant_bytes; /* packed and folded forms of frozen weights */
    thaw_plan_counts plan; /* what lowering made of a training step */
    int64_t steps_per_epoch;
    int64_t smallest_shard; /* samples a shard sees in the smallest batch */
    int64_t smallest_batch; /* of an epoch, the last */
    bool trains_norm;       /* batch statistics in use */
    int32_t norm_meetings; /* exchanges a step of norms whose statistics are over the whole batch */
    int64_t norm_bytes;    /* that a rank gets in them: of all shards */
    bool cacheable;        /* frozen features can be computed once */
    size_t cache_bytes;    /* of them, a node */
    char cache_place[512]; /* "memory", "file in DIRECTORY", or why they are not kept */
    size_t
        node_bytes; /* what the ranks of a node share beside them: weights as training starts, samples */
    char boundary[128];   /* the cut, by name */
    bool int8;            /* the frozen part runs in 8 bits */
    char floats_why[512]; /* why it does not although train.frozen_precision asks for it; or "" */
} thaw_cost;

/* Collective. `rung` NULL: config->rung. */
THAW_NODISCARD thaw_status thaw_cost_of(thaw_comm *comm, const thaw_config *config,
                                        const char *rung, thaw_cost *out);

/* ---- What a step takes ---------------------------------------------------------------------------------------- */

/* Steps of one rung as training takes them, without evaluation, files or checkpoints. Equal on all ranks. */
typedef struct thaw_timing {
    int64_t steps;
    double *seconds; /* (steps) from one step's end to the next, mean over ranks */
    double
        *transfer;  /* (steps) in gradient sums, of the rank that came last: it waited for nobody */
    double *waited; /* (steps) the same, mean over ranks: with the wait for slower ones */
    int64_t bytes,
        calls; /* gradient payload of a rank a step, and all-reduces, as thaw_comm_count has them */
    int64_t plan_calls; /* all-reduces where sums go through MPI, which they do between nodes */
} thaw_timing;

/* Takes `warmup` steps of config->rung, then as many as timing->steps says, and throws the result away. Uses options->pool and
 * options->choices_from. Cleared with thaw_timing_clear, also after an error. Collective; statuses as thaw_train_run. */
THAW_NODISCARD thaw_status thaw_train_time(thaw_comm *comm, const thaw_config *config,
                                           int64_t warmup, const thaw_run_options *options,
                                           thaw_timing *timing);
void thaw_timing_clear(thaw_timing *timing);

/* ---- How far a rate may go ------------------------------------------------------------------------------------ */

/* A learning-rate range test: a few steps whose rate of one part grows by the same factor each, while the other parts keep theirs.
 *   Source: Smith 2017, arXiv:1506.01186, section 3.3; growing exponentially, and smoothed, as Howard & Gugger 2020, arXiv:2002.04688. */
typedef struct thaw_rate_test {
    thaw_optim_part part;
    double low, high; /* first and last rate, as a config has them */
    int64_t steps;    /* that were asked for */
    int64_t taken;    /* it ends early when the smoothed loss is 4 times its least, or not finite */
    double *rate;     /* (taken) */
    double *loss; /* (taken) of the batch after that update; NAN in the last one when not finite */
    double *smooth; /* (taken) exponential mean with a share of 0.1 for the newest, without bias */
    bool diverged;
    double least; /* rate with the least smoothed loss; NAN: the loss never fell clearly */
    double
        steepest; /* rate at which the smoothed loss falls fastest along log(rate), up to there */
    double suggested; /* a tenth of `least` */
    bool at_end;      /* the least is at the last rate: more may be possible */
    double seconds;
} thaw_rate_test;

/* Of config->rung: first `warmup` steps with the part's rate at 0, then out->steps steps from out->low to out->high of out->part, in samples and
 * order of a run. The result is thrown away. A fall is clear when the least lies below the mean loss of the first tenth of the steps by more than
 * their standard deviation. `options` as of thaw_train_time. Cleared with thaw_rate_test_clear, also after an error. Collective; equal on all ranks and for any number of them.
 * THAW_ERR_USAGE: low, high or steps make no sense, or the rung trains nothing of the part; THAW_ERR_NUMERIC: not finite before the first rate; else as thaw_train_run. */
THAW_NODISCARD thaw_status thaw_train_rate_test(thaw_comm *comm, const thaw_config *config,
                                                int64_t warmup, const thaw_run_options *options,
                                                thaw_rate_test *out);
void thaw_rate_test_clear(thaw_rate_test *test);
/* The smoothed losses and what they say of (taken) rates and losses. Local. */
void thaw_rate_test_judge(thaw_rate_test *test);

/* ---- Probes by depth ----------------------------------------------------------------------------------------- */

/* How well the frozen backbone's features after one block tell the classes apart, averaged over pixels or tokens. */
typedef struct thaw_depth_probe {
    char block[64];
    int64_t D;             /* features */
    double logme, h_score; /* on the training samples; they rank, they prove nothing */
    int64_t right;         /* of the val samples, by a linear probe */
    double accuracy;
    thaw_interval interval; /* Wilson's, 95 % */
} thaw_depth_probe;

/* Samples that look alike to the frozen backbone: cosine of the pooled features of all depths, each standardised over the training samples, of
 * THAW_NEAR_COSINE or more (a convention). Near samples of val may be copies of training samples, if more of val are near one than samples of
 * train are near another. */
#define THAW_NEAR_COSINE 0.99
#define THAW_NEAR_MOST   2000 /* samples of each split that are compared, at most */
#define THAW_NEAR_KEPT   5
typedef struct thaw_near_samples {
    int64_t train, val;           /* samples compared */
    int64_t near_train, near_val; /* of train near another one of it; of val near one of train */
    int64_t kept;
    thaw_near closest[THAW_NEAR_KEPT]; /* rows of val and of train, in their splits */
} thaw_near_samples;

typedef struct thaw_probes {
    thaw_depth_probe *rows; /* in order of depth */
    int64_t count;
    int64_t train, val; /* samples used */
    int64_t all_train, classes;
    int64_t best; /* row with most right; the deepest of equal ones */
    /* Squared Frechet distance between the features of source and target as Gaussians with diagonal covariance, per source variance
     * (2: the target differs from the source by as much as two independent samples of it do); NAN: the file has no statistics. */
    double gap;
    thaw_near_samples near;
    double seconds;
} thaw_probes;

/* Runs the frozen backbone once over at most `most` samples each of train and val (a random choice that only their number decides)
 * and probes what every block gives. Collective; equal on all ranks and for any number of them. THAW_ERR_INPUT: no backbone, or a
 * task that is no classification. */
THAW_NODISCARD thaw_status thaw_probe_depths(thaw_comm *comm, const thaw_config *config,
                                             int64_t most, thaw_probes *out);
void thaw_probes_clear(thaw_probes *probes);

/* Features of the frozen backbone as the head's input is averaged, of the samples that thaw_probe_depths draws, in random order. */
typedef struct thaw_last_features {
    thaw_probe_data data; /* views of what follows */
    float *x, *test_x;
    int32_t *labels, *test_labels;
    int64_t all_train; /* samples of train */
    double
        *source; /* (2, D): mean and variance of the source's features; NULL: the file has none */
    float *source_x; /* (source_n, D) of the data set `source`; NULL: none was named */
    int64_t source_n;
    int32_t *cluster, *source_cluster; /* (n), (source_n); NULL: the data name none */
} thaw_last_features;

/* As thaw_probe_depths, but for any task; where it has no classes, labels are 0. source: dataset file that the backbone was trained on, whose
 * split of the name data.train is read; or NULL. THAW_ERR_INPUT: it has samples of another shape, or is the run's own. */
THAW_NODISCARD thaw_status thaw_probe_last(thaw_comm *comm, const thaw_config *config, int64_t most,
                                           const char *source, thaw_last_features *out);
void thaw_last_features_clear(thaw_last_features *features);

/* How alike the features after a block are in the backbone that a run began with and in the one it ended with: linear CKA of features averaged
 * over pixels or tokens. 1: the same but for rotation and scale. */
typedef struct thaw_block_cka {
    char block[64];
    double cka;    /* of unbiased HSIC; NAN for fewer than 4 samples, or where a side is constant */
    double cosine; /* mean over samples; changes with a rotation too */
} thaw_block_cka;

typedef struct thaw_block_ckas {
    thaw_block_cka *rows; /* in order of depth */
    int64_t count;
    int64_t samples; /* of val */
} thaw_block_ckas;

/* Of at most `most` samples of val, those that thaw_probe_depths draws, for the finished run in a directory with its config. Collective;
 * equal on all ranks. THAW_ERR_INPUT: the run has no backbone, or its files are not what they were. */
THAW_NODISCARD thaw_status thaw_probe_cka(thaw_comm *comm, const thaw_config *config,
                                          const char *run_directory, int64_t most,
                                          thaw_block_ckas *out);
void thaw_block_ckas_clear(thaw_block_ckas *ckas);

/* ---- How hard the loss pulls at each block ----------------------------------------------------------------------- */

/* One block of the backbone. ratio: ||gradient|| / ||weights|| over its parameters, batch norms' left out, mean over batches. */
typedef struct thaw_block_pull {
    char name[64];
    int32_t block; /* 0: the stem */
    int64_t parameters;
    double weight;          /* ||weights|| */
    double ratio;           /* NAN without a batch */
    thaw_interval interval; /* Student's, over batches */
} thaw_block_pull;

typedef struct thaw_pulls {
    thaw_block_pull
        *rows; /* (count) in order of depth; blocks whose parameters are all 0 are left out */
    int64_t count;
    int64_t batches, batch; /* that were looked at, of so many samples */
    double *ratios;         /* (batches, count) */
    double seconds;
} thaw_pulls;

/* Gradients of the training loss in the whole backbone, which stays as it is, under the trained head in `head` (the adaptation.h5 of a frozen
 * run): of at most `batches` batches of the first epoch as `config` makes them, batch norms as in evaluation. What surgical fine-tuning chooses
 * blocks by (auto-RGN). Collective; equal on all ranks and for any number of them. Statuses as thaw_train_run.
 *   Source: Lee et al. 2023, arXiv:2210.11466. */
THAW_NODISCARD thaw_status thaw_pull_blocks(thaw_comm *comm, const thaw_config *config,
                                            const char *head, int64_t batches, thaw_pulls *out);
void thaw_pulls_clear(thaw_pulls *pulls);

#ifdef __cplusplus
}
#endif
#endif
