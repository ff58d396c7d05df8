/* thaw/ladder.h - the whole ladder: rungs, trials on sub-groups of ranks, climbing, the transfer note.
 *
 * A trial is one run (module train) of one rung with one seed and one set of rates, in its own directory
 *   <output>/trials/<rung>-lr<rate>-seed<seed>/
 * so that a ladder resumes trial by trial. Trials of a rung are spread over sub-groups of ladder.ranks_per_trial ranks; a trial's
 * result does not depend on its group. After each rung everybody meets, rank 0's decision is computed from files that all
 * can read and is the same everywhere.
 *
 * Order: scratch and frozen first; then the other rungs as listed. For each rung: the rate search with the first seed (same
 * number of candidates for each rung; judged on val), then the remaining seeds with the chosen rate, then the comparison on gate
 * with the best simpler rung. The chosen rung and the baselines meet test once, at the end.
 *
 * Files: config.yaml  summary.json  note.md  note-full.md  note.json  report.html  trials/  */
#ifndef THAW_LADDER_H
#define THAW_LADDER_H

#include "thaw/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thaw_ladder_options {
    bool
        resume; /* finished trials are kept, a running one continues from its checkpoint; what is complete stays */
    bool overwrite; /* an existing ladder is replaced */
    bool quiet;
    double deadline; /* as in thaw_run_options */
} thaw_ladder_options;

/* Runs the ladder and writes its files. Collective; config must be equal on all ranks. THAW_ERR_CONFIG when ranks_per_trial does not
 * divide the rank count; THAW_ERR_STOPPED as thaw_train_run. */
THAW_NODISCARD thaw_status thaw_ladder_run(thaw_comm *comm, const thaw_config *config,
                                           const thaw_ladder_options *options);

/* Where to begin, before anything was trained: the row of the decision table that label count and domain gap hit, its first move and
 * main warning, and probes by depth (thaw_probe_depths) with what they say of the cut. Collective. */
THAW_NODISCARD thaw_status thaw_advise(thaw_comm *comm, const thaw_config *config, int64_t most,
                                       thaw_json **out);

typedef struct thaw_search_options {
    int64_t budget; /* epochs of all runs of the search together */
    int64_t keep;   /* one of so many candidates goes on into the next round; at least 2 */
    bool resume, overwrite, quiet; /* as in thaw_ladder_options */
    double deadline;               /* as in thaw_run_options */
} thaw_search_options;

/* Successive halving over (rung, head rate, adapter or backbone rate): ladder.rungs but scratch, with ladder.search_head and search_adapter or
 * search_backbone. With n candidates there are R = ceil(log_keep n) rounds; in each, every candidate left is trained afresh for
 * min(train.epochs, floor(budget / (candidates left * R))) epochs with the first seed, and the best ceil(left / keep) on val go on; a round with
 * train.epochs is the last. The budget is never exceeded.
 * No run sees gate or test. Below config->output: config.yaml, search.json, search.md, search.csv, trials/. Collective; equal on all ranks
 * and for any number of them. THAW_ERR_CONFIG: fewer than two candidates; THAW_ERR_USAGE: the budget has no epoch for each;
 * THAW_ERR_NUMERIC: all diverged; THAW_ERR_STOPPED as thaw_train_run.
 *   Source: Karnin et al. 2013, algorithm 1; Jamieson & Talwalkar 2016, arXiv:1502.07943. */
THAW_NODISCARD thaw_status thaw_search_run(thaw_comm *comm, const thaw_config *config,
                                           const thaw_search_options *options);

typedef struct thaw_range_options {
    int64_t steps;    /* of each group */
    double low, high; /* first and last rate */
    bool overwrite;   /* an earlier one is replaced */
    bool quiet;
} thaw_range_options;

/* Learning-rate range tests (thaw_train_rate_test) of the head with rung frozen; where ladder.rungs has peft, of the adapter; and of the
 * backbone with the deepest of its partial rungs and full: both after as many steps of the head alone at the rate that was found for it
 * (rates.head where none was), which it keeps. Reads train alone. Writes range.json, range.md, range.csv and range.svg below
 * config->output/range. Collective; equal on all ranks and for any number of them. Statuses as of thaw_train_rate_test; THAW_ERR_USAGE: one is there. */
THAW_NODISCARD thaw_status thaw_search_range(thaw_comm *comm, const thaw_config *config,
                                             const thaw_range_options *options);

typedef struct thaw_inspect_options {
    int64_t
        samples; /* of train and of val that go through the network at most; 0: what the files say is all */
    const char *source; /* dataset file that the backbone was trained on; NULL: not known */
} thaw_inspect_options;

/* What can be known of a finished run before more of its backbone is trained; of a ladder, of its frozen rung: the baseline against scratch,
 * slices that fail, the gap between train and val, calibration, how far blocks and their features moved, thaw_advise's probes, the domain gap, what
 * more labels would do, wrong labels learned by heart, and gradients by block; "unknown" lists what cannot be said, and why. docs/run-directory.md has
 * the keys. Trains nothing and writes nothing. Collective; equal on all ranks and for any number of them, but for "seconds".
 * THAW_ERR_INPUT: the directory is no finished run or ladder, its data are others now, its predictions are gone, or the source's samples are no
 * input of the same network. THAW_ERR_USAGE: a source without samples or backbone. */
THAW_NODISCARD thaw_status thaw_inspect(thaw_comm *comm, const char *directory,
                                        const thaw_inspect_options *options, thaw_json **out);

/* Writes note.md, note-full.md, note.json and report.html of a finished ladder again from its summary.json, metrics and predictions. Local. */
THAW_NODISCARD thaw_status thaw_ladder_render(const char *directory);

/* Compares finished runs, each with the first, on the predictions of one split that all have ("gate", "val" or "test"; NULL: gate where all
 * have it, else val). Samples are paired by their ids. *out is an array with an object for every run but the first: B - A overall and per
 * slice with verdicts from two-sided p (Holm's over all runs; of slices Holm's over those large enough), McNemar, the losses, the classes that
 * moved, every setting that differs and whether one cause can be credited, costs, and sentences on what cannot be said. Collective.
 * THAW_ERR_INPUT when they were not judged on the same samples, or an id is there twice. */
THAW_NODISCARD thaw_status thaw_ladder_compare_runs(thaw_comm *comm, const char *const *runs,
                                                    int64_t count, const char *split,
                                                    thaw_json **out);

#ifdef __cplusplus
}
#endif
#endif
