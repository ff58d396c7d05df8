/* inspect_impl.h - what the files of `thaw inspect` share: a finished run, or a ladder's frozen rung, as it lies on the disk. */
#ifndef THAW_LADDER_INSPECT_IMPL_H
#define THAW_LADDER_INSPECT_IMPL_H

#include "ladder/note_impl.h"

typedef struct inspection {
    const char *directory;
    bool is_ladder;
    thaw_json *summary;     /* of the directory */
    const thaw_json *rung;  /* a ladder's frozen rung, in summary; else NULL */
    thaw_str run;           /* directory of what is inspected: the run, or the rung's first seed */
    thaw_json *run_summary; /* of that */
    thaw_config config;     /* of that */
    const char *split;      /* "gate" where the run predicted it, else "val" */
    thaw_dataset *dataset;  /* with that split at `index` */
    int64_t index;
    const thaw_metric *metric;
    thaw_predictions first; /* of the first seed */
    float *score;           /* (N) each sample's own, mean over seeds */
    int64_t seeds;
    thaw_json *out, *unknown; /* the answer, and an array of what cannot be said; owned */
} inspection;

/* Opens all of it. Collective; equal on all ranks. THAW_ERR_INPUT: the directory is no finished run or ladder, the data are others now, or
 * predictions are gone. Close it after an error too. */
THAW_NODISCARD thaw_status inspection_open(inspection *in, thaw_comm *comm, const char *directory);
void inspection_close(inspection *in);

/* Adds a sentence to what cannot be said. */
void inspection_unknown(inspection *in, const char *format, ...) THAW_PRINTF(2, 3);
/* Adds "domain_gap" and "source_gap" from the features that the head sees; source: dataset file of the backbone's source, or NULL. Local. */
THAW_NODISCARD thaw_status inspection_gap(inspection *in, const char *source,
                                          const thaw_last_features *f);
/* Adds "label_curve" and "memorised" from the same features, and what the curve and the ladder say of more labels and of more depth. The data
 * are of a classification. Local. */
THAW_NODISCARD thaw_status inspection_labels(inspection *in, const thaw_last_features *f);
/* Adds "block_cka": which blocks' features training changed. Collective. */
THAW_NODISCARD thaw_status inspection_cka(inspection *in, thaw_comm *comm, int64_t samples);
/* Adds "gradients": how hard the loss pulls at each block, and the blocks that stand out; or says why not. Collective. */
THAW_NODISCARD thaw_status inspection_pulls(inspection *in, thaw_comm *comm, int64_t samples);
/* Adds to `out` what the files say: "baseline", "slices", "train_val_gap", "calibration", "motion". Local. */
THAW_NODISCARD thaw_status inspection_read(inspection *in);

#endif
