/* train_impl.h - what the files of module train share. A run is set up once (thaw_setup: data, model, weights, rung), then a
 * thaw_trainer owns everything that a step needs; nothing is allocated between the second step and the last. */
#ifndef THAW_TRAIN_IMPL_H
#define THAW_TRAIN_IMPL_H

#include "train/feed_impl.h"
#include "train/norms_impl.h"

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

/* What became of the limit on the backbone's motion so far. */
typedef struct thaw_limit_record {
    double factor;               /* on the backbone's rates, from the next step on */
    int64_t over, undone, first; /* epochs beyond it; that were taken back; the first, from 1 */
    int64_t worst_epoch, worst_block, of_total; /* where it was exceeded by most, and which limit */
    double worst;                               /* motion of that block */
} thaw_limit_record;

/* What val was beside that of the run from scratch. */
typedef struct thaw_watch_record {
    int64_t below, most; /* evaluations running in which it was surely worse: now; at most */
    int64_t epoch;       /* the first at which that was as often as watch.evaluations; 0: none */
    double delta, low, high; /* then; before, of the last evaluation */
    thaw_digest curve;       /* what it was compared with */
} thaw_watch_record;

/* What it is compared with, or what it leaves for others to compare with. */
typedef struct thaw_curve {
    bool on;        /* something is watched, or left for others to watch by */
    float *scores;  /* (epochs, N val) of the metric; of a run that is watched on rank 0 alone */
    int64_t epochs; /* that there are; of a run from scratch all that it may have */
    thaw_digest digest;      /* of the curve that was read */
    double delta, low, high; /* of the last epoch; NAN: it was not compared */
} thaw_curve;

/* Running sums of an epoch and the selection; all of it is checkpointed. */
typedef struct thaw_progress_state {
    double loss_sum, weight_sum;
    int64_t samples, correct;
    double best_score, best_loss; /* score: the metric, negative where lower is better */
    int64_t best_epoch, stale_epochs;
    double seconds, train_seconds; /* over all starts of this run */
    double core_seconds;           /* likewise, from set-up to the end, each start with its ranks */
    int64_t samples_seen;
    thaw_limit_record limit;
    thaw_watch_record watch;
} thaw_progress_state;

/* Copies of the start of the running epoch. */
typedef struct thaw_turn {
    thaw_state weights; /* by parameter name: of the backbone, or of all that trains */
    thaw_state average; /* of train.ema */
    thaw_state moments; /* of the optimizer, without anchors */
} thaw_turn;

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
    thaw_state initial; /* views on the trained backbone tensors as training began */
    thaw_turn turn;     /* what an epoch began with, where a limit asks for it */
    double moved;       /* most of a block in the last epoch, in limits; before it was undone */
    bool undone;        /* the last epoch was taken back */
    thaw_curve watch;
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
/* The same for what only looks at steps: nothing is evaluated, an epoch's end is the start of the next one. THAW_ERR_STOPPED: on request. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_try_step(thaw_trainer *trainer, thaw_comm *comm);
thaw_feed *thaw_trainer_feed(thaw_trainer *trainer, thaw_block_kind kind);
bool thaw_trainer_is_finished(const thaw_trainer *trainer);
bool thaw_trainer_is_due(const thaw_trainer *trainer);  /* for a checkpoint */
bool thaw_trainer_is_best(const thaw_trainer *trainer); /* so far, an epoch that just ended */
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
/* At the end of a phase: what is held and does not train any more becomes its average. Local. */
void thaw_ema_freeze(const thaw_setup *setup, const thaw_state *average);
/* Exchanges what trains and its average, until the next call. Nothing without train.ema. Local. */
void thaw_ema_swap(const thaw_team *team);
/* Into a summary: "ema", "ema_unsettled". Local. */
void thaw_ema_describe(const thaw_trainer *trainer, thaw_json *out);

/* Brings core_seconds up to now. Local. */
void thaw_trainer_count_time(thaw_trainer *trainer, const thaw_comm *comm);

/* A checkpoint: all that a run needs to go on, nothing frozen. Where a stop was agreed, on the disk; else it may be written later. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_save(thaw_trainer *trainer, thaw_comm *comm);
/* From now on checkpoints are written meanwhile, where that is asked for and has room; company is known. Local. */
THAW_NODISCARD thaw_status thaw_trainer_open_writer(thaw_trainer *trainer, const thaw_comm *comm);
/* Waits for one that is still being written. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_settle(thaw_trainer *trainer, thaw_comm *comm);
/* setup->checkpoint gets the one that was asked for, or the newest of the run directory, if one is whole. It must be of this config, dataset and
 * backbone. Collective. */
THAW_NODISCARD thaw_status thaw_setup_checkpoint(thaw_comm *comm, thaw_setup *setup,
                                                 const thaw_run_options *options);
/* Takes the state of setup->checkpoint: each rank what is its own. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_resume(thaw_trainer *trainer, thaw_comm *comm);
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
/* A single value that is kept in a checkpoint. */
typedef struct thaw_kept_number {
    const char *name;
    thaw_dtype dtype;
    void *data;
} thaw_kept_number;
THAW_NODISCARD thaw_status thaw_state_add_kept(thaw_state *out, const thaw_kept_number *rows,
                                               size_t count);
/* Views on entries as prefix/name. Local. */
THAW_NODISCARD thaw_status thaw_state_add_prefixed(thaw_state *out, const char *prefix,
                                                   const thaw_state *from);
/* Appends a copy of each entry to `to`. Local. */
THAW_NODISCARD thaw_status thaw_trainer_copy_state(const thaw_state *from, thaw_state *to);

/* ---- How far the backbone may move ------------------------------------------------------------------------------ */

/* Makes place for what an epoch begins with, and fills it. Local; needs the optimizer and the states. */
THAW_NODISCARD thaw_status thaw_limit_open(thaw_trainer *t);
void thaw_limit_close(thaw_trainer *t);
/* An epoch begins with what there is now. Local. */
THAW_NODISCARD thaw_status thaw_limit_mark(thaw_trainer *t);
/* An epoch's steps are done and nothing is judged yet: a block that is beyond its limit is warned of, slows the backbone, or takes the epoch
 * back. Collective. */
THAW_NODISCARD thaw_status thaw_limit_apply(thaw_trainer *t, thaw_comm *comm);
/* For a checkpoint: views on what the next two of these need; nothing without a limit. Local. */
THAW_NODISCARD thaw_status thaw_limit_state(thaw_trainer *t, thaw_state *out);
/* Into an epoch's row: "backbone_factor", "moved_limits"; into a summary: "limit". Nothing without a limit. Local. */
void thaw_limit_add_row(const thaw_trainer *t, thaw_json *row);
void thaw_limit_describe(const thaw_trainer *t, thaw_json *summary);
/* Arrays as large as what trains that the limit keeps. */
int64_t thaw_limit_copies(const thaw_config *config);
/* What ranges of single fields cannot say. THAW_ERR_CONFIG. */
THAW_NODISCARD thaw_status thaw_limit_check(const thaw_conf *conf, const thaw_config *c);
extern const thaw_field thaw_limit_fields[];

/* ---- Beside training from scratch --------------------------------------------------------------------------------- */

/* Reads the curve of the run from scratch, or makes place for one. Before a resumed run gets its state. Collective. THAW_ERR_CONFIG: no run is
 * named. THAW_ERR_INPUT: it is of other data, or has no curve. */
THAW_NODISCARD thaw_status thaw_beside_open(thaw_trainer *t, thaw_comm *comm);
/* An epoch has been evaluated, and is not counted yet. Collective. */
THAW_NODISCARD thaw_status thaw_beside_epoch(thaw_trainer *t, thaw_comm *comm,
                                             const thaw_predictions *val);
bool thaw_beside_stops(const thaw_trainer *t);
/* After a checkpoint was read. Local. THAW_ERR_INPUT: the run was compared with another curve. */
THAW_NODISCARD thaw_status thaw_beside_resumed(const thaw_trainer *t);
/* As their sisters of the limit. */
THAW_NODISCARD thaw_status thaw_beside_state(thaw_trainer *t, thaw_state *out);
void thaw_beside_add_row(const thaw_trainer *t, thaw_json *row);
void thaw_beside_describe(const thaw_trainer *t, thaw_json *summary);
/* curve-val.h5 of a run from scratch. Collective. */
THAW_NODISCARD thaw_status thaw_beside_write(thaw_trainer *t, thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_beside_check(const thaw_conf *conf, const thaw_config *c);
extern const thaw_field thaw_beside_fields[];

/* ||w - w0|| / ||w0|| of a block's tensors that t->initial names, w0 being those of `before`; NAN: it has none. Local. */
double thaw_drift_of_block(const thaw_trainer *t, const thaw_state *before, int32_t block);
/* How far the backbone moved, into summary "drift". Collective. */
THAW_NODISCARD thaw_status thaw_drift_before(thaw_trainer *trainer, thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_drift_after(const thaw_team *team, thaw_comm *comm,
                                            thaw_json *const *out);
/* Adds ||w - w0|| / ||w0|| of each block with trained backbone tensors, by block name. Local. */
THAW_NODISCARD thaw_status thaw_drift_motion(const thaw_trainer *trainer, thaw_json *out);

/* Writes the trained weights as a backbone file with statistics of its features on the training split. Collective. */
THAW_NODISCARD thaw_status thaw_trainer_save_backbone(thaw_trainer *trainer, thaw_comm *comm);

/* ---- The run directory ---------------------------------------------------------------------------------------- */

/* *complete: nothing is left to do. THAW_ERR_USAGE, THAW_ERR_INPUT. Collective. */
THAW_NODISCARD thaw_status thaw_run_look(thaw_comm *comm, const thaw_config *config,
                                         const thaw_run_options *options, bool *complete);
/* Everything was opened and found good: the directory is made ready, and a resumed run gets its state. Collective. */
THAW_NODISCARD thaw_status thaw_run_begin(thaw_trainer *t, thaw_comm *comm);
void thaw_run_announce(const thaw_trainer *t, const thaw_comm *comm);
THAW_NODISCARD thaw_status thaw_run_check(const thaw_setup *setup); /* local */
/* "run/name" as a path that dies with *out. */
const char *thaw_run_path(const char *directory, const char *name, thaw_str *out);

/* probe_near.c: of the drawn samples, with the features (width) of all depths. closest: rows among the drawn ones. Local. */
THAW_NODISCARD thaw_status thaw_probe_near(const thaw_probe_data *data, int64_t width,
                                           thaw_near_samples *out);

#endif
