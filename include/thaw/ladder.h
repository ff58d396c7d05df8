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
 * Files: config.yaml  summary.json  note.md  note.json  report.html  trials/  */
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

typedef struct thaw_inspect_options {
    int64_t
        samples; /* of train and of val that go through the network at most; 0: what the files say is all */
} thaw_inspect_options;

/* What can be known of a finished run before more of its backbone is trained; of a ladder, of its frozen rung: the baseline against scratch,
 * slices that fail, the gap between train and val, calibration, how far blocks moved, thaw_advise's probes, the domain gap, what more labels
 * would do, wrong labels learned by heart, and gradients by block; "unknown" lists what cannot be said, and why. docs/run-directory.md has
 * the keys. Trains nothing and writes nothing. Collective; equal on all ranks and for any number of them, but for "seconds".
 * THAW_ERR_INPUT: the directory is no finished run or ladder, its data are others now, or its predictions are gone. */
THAW_NODISCARD thaw_status thaw_inspect(thaw_comm *comm, const char *directory,
                                        const thaw_inspect_options *options, thaw_json **out);

/* Writes note.md, note.json and report.html of a finished ladder again from its summary.json, metrics and predictions. Local. */
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
