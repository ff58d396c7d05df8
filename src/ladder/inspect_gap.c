#include "ladder/inspect_impl.h"

#include <math.h>

/* How far the data are from what the backbone was trained on: by moments that the backbone file has, and by samples of the source. */

/* Each replicate of a gap goes through all features. */
#define GAP_RESAMPLES 500

/* Of each side, for a classifier that learns from half of them and is tried on the rest. */
#define LEAST_ROWS 4

static thaw_bootstrap few_resamples(const inspection *in)
{
    thaw_bootstrap how = ladder_bootstrap(&in->config);
    how.resamples = how.resamples < GAP_RESAMPLES ? how.resamples : GAP_RESAMPLES;
    return how;
}

static thaw_status add_moments(inspection *in, const thaw_last_features *f)
{
    const thaw_bootstrap how = few_resamples(in);
    const int64_t D = f->data.D;
    const thaw_side target = {f->data.x, f->data.n, f->cluster};
    thaw_gap_test gap;
    if (f->source == NULL) {
        inspection_unknown(in, "How far the data are from the moments of the backbone's source: "
                               "its file has none. A backbone that thaw writes "
                               "(train.save_backbone) has them.");
        return THAW_OK;
    }
    if (f->data.n < 2) {
        inspection_unknown(in, "How far the data are from the moments of the backbone's source: "
                               "train has one sample, which has no spread.");
        return THAW_OK;
    }
    THAW_TRY(thaw_gap_to_moments(&target, D, f->source, f->source + D, &how, &gap));
    thaw_json *out = thaw_json_set_object(in->out, "domain_gap");
    thaw_json_set_int(out, "samples", f->data.n);
    thaw_json_set_int(out, "clusters", gap.clusters);
    thaw_json_set_double(out, "frechet", gap.value);
    thaw_json_set_double(out, "low", gap.interval.low);
    thaw_json_set_double(out, "high", gap.interval.high);
    thaw_json_set_double(out, "p", gap.p);
    if (gap.clusters == 1)
        inspection_unknown(in, "How sure the distance to the moments of the backbone's source is: "
                               "all drawn samples of train are of one cluster.");
    return THAW_OK;
}

static void add_proxy_a(const thaw_proxy_a *gap, thaw_json *out)
{
    thaw_json_set_int(out, "tested", gap->n);
    thaw_json_set_int(out, "clusters", gap->clusters);
    thaw_json_set_double(out, "error", gap->error);
    thaw_json_set_double(out, "distance", gap->distance);
    thaw_json_set_double(out, "low", gap->interval.low);
    thaw_json_set_double(out, "high", gap->interval.high);
}

static void add_mmd(const thaw_mmd *gap, thaw_json *out)
{
    thaw_json_set_int(out, "source_samples", gap->n1);
    thaw_json_set_int(out, "samples", gap->n2);
    thaw_json_set_int(out, "source_clusters", gap->clusters1);
    thaw_json_set_int(out, "clusters", gap->clusters2);
    thaw_json_set_double(out, "bandwidth", gap->bandwidth);
    thaw_json_set_double(out, "squared", gap->squared);
    thaw_json_set_int(out, "permutations", gap->permutations);
    thaw_json_set_double(out, "p", gap->p);
}

/* Among the rows that the classifier takes. */
static bool has_one_cluster(const thaw_side *side, int64_t n)
{
    for (int64_t i = 1; side->cluster != NULL && i < n; i++) {
        if (side->cluster[i] != side->cluster[0])
            return false;
    }
    return side->cluster != NULL;
}

static thaw_status add_samples(inspection *in, const char *source, const thaw_last_features *f)
{
    const thaw_bootstrap how = few_resamples(in);
    const int64_t D = f->data.D;
    const thaw_side other = {f->source_x, f->source_n, f->source_cluster};
    const thaw_side target = {f->data.x, f->data.n, f->cluster};
    thaw_proxy_a apart;
    thaw_mmd mmd;
    if (source == NULL) {
        inspection_unknown(in, "Proxy A-distance and MMD to the source: they need its samples. "
                               "--source DATASET names the data that the backbone was trained "
                               "on.");
        return THAW_OK;
    }
    if (f->source_n < LEAST_ROWS || f->data.n < LEAST_ROWS) {
        inspection_unknown(in,
                           "Proxy A-distance and MMD to the source: they need %d samples a side; "
                           "%s has %lld, train %lld.",
                           LEAST_ROWS, source, (long long)f->source_n, (long long)f->data.n);
        return THAW_OK;
    }
    const int64_t n = (other.n < target.n ? other.n : target.n) / 2 * 2;
    if (has_one_cluster(&other, n) || has_one_cluster(&target, n)) {
        inspection_unknown(in,
                           "Proxy A-distance and MMD to the source: the drawn samples of %s are of "
                           "one cluster, which says nothing of others.",
                           has_one_cluster(&target, n) ? "train" : source);
        return THAW_OK;
    }
    THAW_TRY(thaw_proxy_a_features(&other, &target, D, in->config.ladder.confidence, &apart));
    THAW_TRY(thaw_mmd_features(&other, &target, D, &how, &mmd));
    thaw_json *out = thaw_json_set_object(in->out, "source_gap");
    thaw_json_set_string(out, "source", source);
    thaw_json_set_int(out, "source_samples", f->source_n);
    thaw_json_set_int(out, "samples", f->data.n);
    add_proxy_a(&apart, thaw_json_set_object(out, "proxy_a"));
    add_mmd(&mmd, thaw_json_set_object(out, "mmd"));
    return THAW_OK;
}

thaw_status inspection_gap(inspection *in, const char *source, const thaw_last_features *f)
{
    THAW_TRY(add_moments(in, f));
    return add_samples(in, source, f);
}
