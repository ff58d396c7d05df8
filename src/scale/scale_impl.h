/* scale_impl.h - what the files of module scale share. A measurement is a row of points.jsonl: one rung on one rank count with one batch,
 * once. Rows of the same three become one point. */
#ifndef THAW_SCALE_IMPL_H
#define THAW_SCALE_IMPL_H

#include "thaw/report.h"
#include "thaw/scale.h"

/* What is to be measured of each rung. */
typedef struct scale_size {
    int64_t ranks, shards, batch;
} scale_size;

typedef struct scale_plan {
    const thaw_config *config;
    const thaw_strings *rungs;
    int64_t most; /* the largest of scale.ranks */
    scale_size *sizes;
    int64_t size_count;
} scale_plan;

/* Checks the settings. THAW_ERR_CONFIG. Cleared with scale_plan_clear, also after an error. */
THAW_NODISCARD thaw_status scale_plan_make(const thaw_config *config, scale_plan *out);
void scale_plan_clear(scale_plan *plan);

/* What a study found. */
typedef struct scale_result {
    const scale_plan *plan;
    thaw_scale_point *points; /* by rung, then by shards and ranks */
    int64_t count;
    thaw_scale_model model;
} scale_result;

/* Whether the rows hold this measurement. */
bool scale_rows_have(const thaw_json *rows, const char *rung, const scale_size *size,
                     int64_t repeat);
/* Points of rows, compared and fitted. THAW_ERR_INPUT: a row that is not as we write it. Cleared with scale_result_clear, also after an
 * error. */
THAW_NODISCARD thaw_status scale_result_make(const scale_plan *plan, const thaw_json *rows,
                                             scale_result *out);
void scale_result_clear(scale_result *result);

/* Seconds of a step of the extrapolated machine; weak: with as many shards a rank as on plan->most ranks. NaN: a rung that was not
 * measured, or strong scaling beyond what its shards can be shared out to. */
double scale_machine_seconds(const scale_result *result, int32_t rung, int64_t ranks, bool weak);

/* More threads than cores on some node. Collective. */
THAW_NODISCARD thaw_status scale_find_oversubscribed(thaw_comm *comm, bool *out);

/* A study's directory. Rank 0. */
THAW_NODISCARD thaw_status scale_directory_prepare(const thaw_config *config,
                                                   const thaw_scale_options *options);
/* points.jsonl of a directory; an empty array when there is none. */
THAW_NODISCARD thaw_status scale_rows_read(const char *directory, thaw_json **out);
/* Everything but points.jsonl. */
THAW_NODISCARD thaw_status scale_write(const scale_plan *plan);
void scale_write_markdown(const scale_result *result, thaw_str *out);
THAW_NODISCARD thaw_status scale_write_charts(const scale_result *result);

#endif
