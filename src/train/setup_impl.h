/* setup_impl.h - what the config says and what a run is set up from: data, model, weights, rung, plans. */
#ifndef THAW_TRAIN_SETUP_IMPL_H
#define THAW_TRAIN_SETUP_IMPL_H

#include "thaw/ckpt.h"
#include "thaw/evidence.h"
#include "thaw/store.h"
#include "thaw/train.h"

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
    int64_t
        updates[THAW_MOST_PHASES];    /* of the optimizer: steps but those that a limit took back */
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
    bool *held; /* by parameter: trains, or did in an earlier phase; so a checkpoint has it */
    int64_t *
        joined; /* by parameter that trains: updates of the optimizer before it began, or began again */
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
        *spare; /* those of the phase before, while the next one is opened; or NULL */
    thaw_ckpt_found checkpoint; /* that the run goes on from; once it was looked for */
    struct thaw_setup *lead;    /* owner of kernels, data and frozen memory; NULL: itself */
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
    thaw_watchdog *watchdog; /* with the limit of the run */
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
/* The same, by the names that checkpoints and adaptation.h5 have for it. */
THAW_NODISCARD thaw_status thaw_setup_held_named(const thaw_setup *s, thaw_state *out);
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

#endif
