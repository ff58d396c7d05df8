/* ladder_impl.h - what the files of module ladder share: the state of a climb, filled from what trials left on disk. */
#ifndef THAW_LADDER_IMPL_H
#define THAW_LADDER_IMPL_H

#include "thaw/evidence.h"
#include "thaw/ladder.h"

#define LADDER_PATH 4200

/* One run of one rung. */
typedef struct ladder_trial {
    int64_t candidate, seed; /* index of the rate; 0.. */
    char directory[LADDER_PATH];
    bool floats;        /* frozen features in floats, whatever the config says */
    bool diverged;      /* loss or gradients were not finite: an answer, not an accident */
    thaw_json *summary; /* of the finished run; NULL when diverged */
} ladder_trial;

typedef struct ladder_rung {
    thaw_rung rung;
    char name[THAW_RUNG_TEXT];
    ladder_trial *search; /* one a candidate, all with the first seed */
    int64_t candidates;
    int64_t chosen;      /* candidate */
    ladder_trial *seeds; /* one a seed; the first is search[chosen] */
    float *score;        /* (seeds, N gate) of the metric: what is paired overall */
    float *each;         /* (seeds, N gate) of each sample alone: what is paired on slices */
    int64_t *confusion;  /* (K, K) on gate, summed over seeds, of a classification; else NULL */
    bool calibrates;     /* a classification: the next three are set */
    double temperature;  /* that fits val, of the first seed */
    thaw_calibration calibration, tempered;       /* on gate, of the first seed */
    double gate_score, gate_low, gate_high;       /* mean of score, with its interval */
    double gate_metric, val_metric, train_metric; /* means over seeds */
    thaw_rates rates;                             /* reason borrowed from reason_text */
    char reason_text[1000];
    char floats_why[512]; /* why it runs in floats although 8 bits are asked for; or "" */
    bool done;
} ladder_rung;

typedef struct ladder {
    const thaw_config *config;
    const thaw_ladder_options *options;
    thaw_pool *pool;       /* what trials share */
    thaw_dataset *dataset; /* for slices and names */
    int64_t gate;          /* split */
    int64_t N, K, S;       /* gate samples, classes, seeds */
    const thaw_metric *metric;
    bool judged;       /* truth is that of the first predictions read */
    thaw_digest truth; /* of gate's labels or targets */
    int32_t *cluster;  /* (N) or NULL */
    double df;         /* as thaw_scores.df, of the metric on gate */
    ladder_rung *rungs;
    int64_t count;
    int64_t planned; /* deeper rungs that will be judged: Holm's family */
    double *p;       /* (count) p_greater of each rung's step up; 1 while untested */
    int64_t best;    /* the incumbent: simplest rung that nothing deeper clearly beat */
    char backbone_digest[THAW_DIGEST_HEX]; /* of the first trial that reuses one; "" so far */
    thaw_json *summary;
    thaw_json *rung_rows, *comparisons; /* arrays in summary, borrowed */
} ladder;

/* trials.c */
/* The rates that a rung of this kind tries. */
const thaw_doubles *ladder_candidates(const thaw_config *config, thaw_rung_kind kind);
THAW_NODISCARD thaw_status ladder_run_rung(ladder *l, thaw_comm *world, thaw_comm *group,
                                           int64_t index);
/* The rung's chosen rate again, once a seed, on frozen features in floats; `trials` (S) are filled. */
THAW_NODISCARD thaw_status ladder_run_floats(ladder *l, thaw_comm *world, thaw_comm *group,
                                             int64_t index, ladder_trial *trials);
/* A trial in this directory, whose numbers blew up, is over. Rank 0 writes. */
THAW_NODISCARD thaw_status ladder_mark_diverged(const thaw_comm *comm, const char *directory,
                                                const thaw_error *error);
/* precision.c */
/* Before anything trains: which rungs cannot run in the 8 bits that are asked for and so run in floats. THAW_ERR_CONFIG when frozen
 * cannot. */
THAW_NODISCARD thaw_status ladder_settle_precision(ladder *l, thaw_comm *world);
/* What 8 bits change in the frozen rung, into summary "precision". */
THAW_NODISCARD thaw_status ladder_judge_precision(ladder *l, thaw_comm *world, thaw_comm *group,
                                                  int64_t index);
/* judge.c */
/* Both scores of the trial's predictions on gate, (N) each. */
THAW_NODISCARD thaw_status ladder_load_scores(const ladder *l, thaw_comm *world,
                                              const ladder_trial *trial, float *score, float *each);
thaw_rule ladder_rule(const thaw_config *config);
thaw_bootstrap ladder_bootstrap(const thaw_config *config);
THAW_NODISCARD thaw_status ladder_load_gate(ladder *l, thaw_comm *world, int64_t index);
THAW_NODISCARD thaw_status ladder_judge_step(ladder *l, int64_t index, thaw_depth_verdict *verdict);
THAW_NODISCARD thaw_status ladder_judge_transfer(ladder *l);
THAW_NODISCARD thaw_status ladder_has_failing_slice(const ladder *l, int64_t index, bool *failing);
/* compare.c: one comparison as JSON, overall and per slice, for ladders and for two runs. */
typedef struct ladder_pair {
    const char *name_a, *name_b;
    const float *a, *b;           /* (S, N) scores of the metric */
    const float *each_a, *each_b; /* (S, N) of each sample alone, for slices */
    const thaw_metric *metric;
    int64_t seeds, N;
    const int32_t *cluster;
    const thaw_dataset *dataset;
    int64_t split;
    double power;        /* for the samples a decision would need; 0: the design's default */
    int64_t comparisons; /* of the family; 0: one */
    double df;           /* as thaw_scores.df, of the metric */
} ladder_pair;
THAW_NODISCARD thaw_status ladder_compare(const ladder_pair *pair, const thaw_bootstrap *how,
                                          const thaw_rule *rule,
                                          double (*adjust)(void *context, double p), void *context,
                                          thaw_decision *decision, thaw_json *out);
/* What is decided, in the words of `out`; once more after thaw_decision_adjust. */
void ladder_decision_to_json(const ladder_pair *pair, const thaw_decision *decision,
                             thaw_json *out);
/* The classes that are mistaken for others more or less often, the largest changes first, as "confusion_changes". before, after (K, K). */
void ladder_confusion_changes(const thaw_dataset *dataset, const int64_t *before,
                              const int64_t *after, thaw_json *out);
/* compare_read.c */
/* Whether the directory has a file of that name; this rank's view. */
bool ladder_holds(const char *directory, const char *name);
/* What compares rungs ("a ladder", "a search") needs of a config. THAW_ERR_CONFIG. Local. */
THAW_NODISCARD thaw_status ladder_check_rungs(const thaw_config *config, const char *what);
bool ladder_has_predictions(const char *run, const char *split);
/* config.yaml of a run. THAW_ERR_INPUT: it is none. Local. */
THAW_NODISCARD thaw_status ladder_read_config(const char *run, thaw_config *out);
/* Finished runs and what they said of one split, sample for sample in the order of the dataset. */
typedef struct ladder_run {
    const char *path; /* borrowed */
    thaw_config config;
    thaw_json *summary;
    thaw_predictions p;
    float *score, *each; /* (N) */
} ladder_run;
typedef struct ladder_runs {
    ladder_run *runs; /* (count); the first is what the others are compared with */
    int64_t count;
    const char *split_name; /* gate, val or test; borrowed */
    bool by_id;             /* samples were matched by their ids; else by their places */
    thaw_dataset *dataset;
    int64_t split;
    const thaw_metric *metric;
    double df; /* as thaw_scores.df, of the metric */
} ladder_runs;
/* split NULL: gate where all runs have it, else val. Collective. Cleared by ladder_runs_clear whatever comes out. THAW_ERR_INPUT: no finished
 * run, another task or metric, other samples or labels, an id twice, a dataset that is no longer the one that was predicted. */
THAW_NODISCARD thaw_status ladder_runs_read(thaw_comm *comm, const char *const *paths,
                                            int64_t count, const char *split, ladder_runs *out);
void ladder_runs_clear(ladder_runs *runs);
/* compare_causes.c: "differences", every setting, code, data and backbone in which the two differ; "credit", whether the difference can be
 * put down to one cause; "cost", both sides' with the ratio. */
void ladder_add_causes(const ladder_run *a, const ladder_run *b, thaw_json *out);
/* compare_limits.c: "detectable", what these samples can show; "limits", sentences on what the comparison cannot say and why. */
void ladder_add_limits(const ladder_runs *runs, const ladder_run *b, const thaw_decision *decision,
                       thaw_json *out);
/* score.c: what is paired. */
/* Both scores of one seed's predictions, (N) each. */
THAW_NODISCARD thaw_status ladder_take_scores(const thaw_predictions *p, const thaw_metric *metric,
                                              float *score, float *each);
thaw_digest ladder_truth(const thaw_predictions *p);
/* Mean over seeds of scores (S, N), with its interval, of a slice (mask NULL: all); df as thaw_scores.df. */
typedef struct ladder_mean {
    int64_t N;
    double mean, low, high;
    double seeds[THAW_MAX_SEEDS];
} ladder_mean;
THAW_NODISCARD thaw_status ladder_mean_score(const ladder *l, const float *score, int64_t N,
                                             const int32_t *cluster, const uint8_t *mask, double df,
                                             ladder_mean *out);
THAW_NODISCARD thaw_status ladder_mean_slice(const ladder *l, const ladder_rung *r, int64_t slice,
                                             ladder_mean *out);
bool ladder_slice_fails(const ladder *l, const ladder_mean *own);
/* "accuracy" where that is what is paired, else "score". */
const char *ladder_score_key(const ladder *l);
/* "accuracy", "explained variance". */
const char *ladder_score_title(const ladder *l);
/* Of a sample's own score, which slices show; and both its names, as {name, title}. */
const char *ladder_sample_title(thaw_task task);
void ladder_sample_to_json(thaw_task task, thaw_json *out);
/* summary.c */
THAW_NODISCARD thaw_status ladder_describe_rung(ladder *l, int64_t index);
/* defined.c: THAW_ERR_INPUT where the metric has no value on gate or test, whatever is predicted. Local. */
THAW_NODISCARD thaw_status ladder_check_defined(const ladder *l);
THAW_NODISCARD thaw_status ladder_describe_task(ladder *l);
THAW_NODISCARD thaw_status ladder_describe_choice(ladder *l);
/* How much better the metric is on train than on val, mean over seeds. */
double ladder_train_val_gap(const ladder *l, const ladder_rung *r);
/* test.c */
THAW_NODISCARD thaw_status ladder_open_test(ladder *l, thaw_comm *world);

/* note.c, html.c: from summary.json alone (and metrics.jsonl of the trials for curves). */
THAW_NODISCARD thaw_status ladder_note_markdown(const thaw_json *summary, thaw_str *out);
/* What a reader needs to decide, on one page. THAW_ERR_INPUT: no rung is chosen. */
THAW_NODISCARD thaw_status ladder_note_page(const thaw_json *summary, thaw_str *out);
THAW_NODISCARD thaw_status ladder_note_json(const thaw_json *summary, thaw_json **out);
THAW_NODISCARD thaw_status ladder_write_html(const thaw_json *summary, const char *directory,
                                             const char *path);

#endif
