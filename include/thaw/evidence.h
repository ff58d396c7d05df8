/* thaw/evidence.h - intervals, paired tests, verdicts, drift, confusion and domain gap: pure
 * functions on arrays.
 *
 * Everything here is local: no communication, no files, no clock, no state. The same input gives
 * the same bits on every rank and every run. Sums run in fixed order in double. Results are
 * plain structs that hold every figure a verdict was made from, so that a note can quote them.
 *
 * What the paired interval covers, and what it does not. S seeds are judged on the *same* N gate
 * examples, so seeds and examples are crossed, not nested: a hard example is hard for every
 * seed. Both are resampled, each replicate with one draw of examples shared by all drawn seeds;
 * examples that depend on one another belong in one cluster and are drawn together. Resampling
 * three seeds cannot show how seeds vary (its variance is 2/3 of the true one and the tails are
 * missing), so the interval that verdicts use is the hull of the bootstrap's percentile interval
 * and of a t interval whose variance and degrees of freedom come from the crossed analysis of
 * variance that reader studies use. It therefore covers: which examples the gate happens to
 * hold, and what a seed changes (initial head, sample order, augmentation, dropout). It does not
 * cover: another draw of the training or validation set (all seeds may share them), label noise
 * common to all rungs, the choice of learning rates, a shift between gate and deployment,
 * dependence between examples that no cluster id declares, and, with S = 1, the seed itself.
 *   In simulation (tests/evidence/test_simulation.c: three rungs, 400 examples, 3 seeds) a ladder
 * without any true gain gets a clear gain in 0% to 4% of the cases, nominal 5%; with seeds that
 * vary by 5 points the percentile interval alone does in 10%. A gain of the detectable size is
 * found in 78% to 80%, stated 80%.
 *   Sources: Dietterich 1998 (paired tests); Owen 2007 (crossed bootstrap); Hillis 2007 and
 *   Obuchowski & Rockette 1995 (variance and degrees of freedom; readers = seeds, cases =
 *   examples); Agresti & Min 2005 (half a count in each cell, so that "no difference seen in 20
 *   samples" is not certainty). */
#ifndef THAW_EVIDENCE_H
#define THAW_EVIDENCE_H

#include "thaw/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Distributions ---- */

double thaw_normal_cdf(double z);
double thaw_normal_quantile(double p);        /* p in (0, 1); -+INFINITY at the ends */
double thaw_student_cdf(double t, double df); /* df > 0, INFINITY is the normal */
double thaw_student_quantile(double p, double df);
double thaw_chi2_1_tail(double x); /* P(X > x), one degree of freedom */
/* P(X <= k) for X ~ Binomial(n, p); 0 for k < 0, 1 for k >= n. */
double thaw_binomial_cdf(int64_t k, int64_t n, double p);
/* Smallest k with P(X <= k) >= q: bounds for tests of a rate. */
int64_t thaw_binomial_quantile(double q, int64_t n, double p);

typedef struct thaw_interval {
    double low, high;
} thaw_interval;

/* Wilson score interval of a proportion, `right` of n, two-sided `level` (0.95). n = 0 gives [0,
 * 1]. */
thaw_interval thaw_wilson(int64_t right, int64_t n, double level);

/* p1 - p2 of two independent samples, right1 of n1 and right2 of n2: the square-and-add interval from both Wilson intervals. n1 = 0 or
 * n2 = 0 gives [-1, 1].  Source: Newcombe 1998, method 10. */
thaw_interval thaw_newcombe(int64_t right1, int64_t n1, int64_t right2, int64_t n2, double level);

/* Student's interval of the mean of x[0], x[stride], ... (n of them); *mean NAN for n = 0, the interval infinite for n < 2. */
thaw_interval thaw_student_interval(const double *x, int64_t n, int64_t stride, double level,
                                    double *mean);

/* ---- McNemar ---- */

/* One seed only: seeds share the examples, so their counts must not be pooled. */
typedef struct thaw_mcnemar {
    int64_t a_only, b_only; /* A right and B wrong; A wrong and B right */
    double p_exact, p_mid;  /* two-sided */
    double chi2, p_chi2;    /* without continuity correction; 0 and 1 when nothing differs */
    double chi2_corrected, p_chi2_corrected; /* Edwards */
} thaw_mcnemar;

thaw_mcnemar thaw_mcnemar_test(int64_t a_only, int64_t b_only);
/* Counts from 0/1 scores (N) of one seed (right when > 0.5); mask (N) NULL or nonzero = counted. */
thaw_mcnemar thaw_mcnemar_scores(const float *a, const float *b, int64_t N, const uint8_t *mask);

/* Holm's step-down adjusted p-values, in the order of the input, at most 1; p and adjusted may
 * be one array. THAW_ERR_FAIL for a p outside [0, 1]; THAW_ERR_RESOURCE.  Source: Holm 1979. */
THAW_NODISCARD thaw_status thaw_holm(const double *p, int64_t count, double *adjusted);

/* ---- What a gate split can show ---- */

/* A planned comparison. Start from thaw_design_default and change what is known. */
typedef struct thaw_design {
    int64_t N;            /* gate examples */
    double discordance;   /* share of examples one model has right, the other wrong */
    double design_effect; /* of clusters: 1 + (size - 1) * intra-cluster correlation */
    int64_t seeds;
    double seed_correlation; /* of one example's difference between seeds; 1 = seeds add nothing */
    double seed_sd;          /* standard deviation over seeds of the true gain */
    double alpha;            /* two-sided, of one comparison and of the family */
    int64_t comparisons;     /* rungs judged together (Holm) */
    double power;
    double min_effect; /* smaller gains are refused whatever their p */
} thaw_design;

/* N and discordance given; one seed, no clusters, alpha 0.05, power 0.8, one comparison, no
 * least effect. */
thaw_design thaw_design_default(int64_t N, double discordance);
/* The standard error of the paired difference that this design leads to. With one seed:
 * sqrt(discordance / N). */
double thaw_design_se(const thaw_design *design);
/* The smallest true gain that is found with about the stated power; INFINITY for N < 1. Averages
 * over the spread that so few seeds may happen to show, and reckons with the wider interval. */
double thaw_design_detectable(const thaw_design *design);
/* The probability that a true gain of `effect` passes interval, p and least effect. */
double thaw_design_power(const thaw_design *design, double effect);
/* Gate examples needed until `effect` is detectable; -1 when no number is enough (seeds vary too
 * much, or effect is not above min_effect). */
int64_t thaw_design_samples(const thaw_design *design, double effect);

/* ---- Paired comparison of two models on the same examples ---- */

#define THAW_MAX_SEEDS 32

/* Scores: larger is better (1 right, 0 wrong; for a loss, give its negative). Borrowed. */
typedef struct thaw_scores {
    const float *a, *b;     /* (S, N) row-major, row s of both from the same seed s */
    int64_t seeds, N;       /* S in 1..THAW_MAX_SEEDS */
    const int32_t *cluster; /* (N) any ids, or NULL: every example on its own */
    const uint8_t *mask;    /* (N) nonzero = in the slice, or NULL: all */
    bool
        points; /* shares, printed in points, though single scores may leave [0, 1] (thaw_metric_scores) */
    double df; /* that the variance over units has at most (thaw_metric_df); 0: units - 1 */
} thaw_scores;

typedef struct thaw_bootstrap {
    int64_t resamples; /* 10000 */
    double level;      /* 0.95, two-sided */
    uint64_t seed;     /* same seed, same draws; comparisons of one ladder may share it */
} thaw_bootstrap;

thaw_bootstrap thaw_bootstrap_default(uint64_t seed);

/* What a comparison found. All differences are B - A. No pointers: copy and store freely. */
typedef struct thaw_paired {
    int64_t N;     /* examples in the slice */
    int64_t units; /* clusters among them; N without clusters */
    int64_t seeds, resamples;
    double level;
    double mean_a, mean_b, delta;
    double low, high; /* the interval verdicts use: hull of boot_ and t_ */
    double p_greater; /* one-sided, H0: no gain; the larger of both ways. For thaw_holm */
    double p_less, p_two_sided;
    double boot_low, boot_high;         /* percentile interval */
    double boot_se;                     /* standard deviation of the replicates */
    double boot_p_greater, boot_p_less; /* (1 + #{replicate <= 0}) / (R + 1), and >= 0 */
    double se, df;                      /* of the crossed analysis */
    double t_low, t_high, t_p_greater;
    double most_df; /* thaw_scores.df: what columns of few samples leave; 0: nothing was said */
    double var_examples;     /* part of se^2 that all seeds share: more gate examples reduce it */
    double var_seeds;        /* the rest, of seeds and their interaction with examples */
    double seed_correlation; /* measured, of one unit's difference between seeds; 1 when S = 1 */
    double seed_sd;          /* measured over seeds beyond what examples explain; 0 when S = 1 */
    double discordance;      /* mean share of examples whose scores differ */
    double design_effect;    /* of the clusters, measured; 1 without */
    double mean_square;      /* of the scores' differences: discordance where they are 0 and 1 */
    bool bounded;            /* all scores in [0, 1] */
    bool points;             /* differences are shares, printed in points */
    int32_t seeds_positive, seeds_negative; /* of the seeds' own differences */
    double seed_delta[THAW_MAX_SEEDS];
} thaw_paired;

/* Compares B with A: crossed bootstrap over seeds and examples (or clusters), and the t interval
 * beside it. Local. Swapping A and B changes all signs exactly. An empty slice gives N = 0,
 * delta 0, the interval [-1, 1] (unbounded: -+INFINITY) and p = 1. THAW_ERR_FAIL: S or resamples
 * out of range. THAW_ERR_NUMERIC: a score is not finite. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_paired_compare(const thaw_scores *scores, const thaw_bootstrap *how,
                                               thaw_paired *out);
/* The design that this comparison turned out to have, for "what would be needed" (alpha, power,
 * min_effect default). */
thaw_design thaw_paired_design(const thaw_paired *paired);
/* 1 where prediction equals label, else 0: (N). */
void thaw_scores_from_predictions(const int32_t *labels, const int32_t *predictions, int64_t N,
                                  float *right);

/* Rungs in order from simple to deep, and the mean score of each (larger is better). Returns the
 * simplest one whose mean is at most `margin` below the best, with room for rounding; -1 for
 * count < 1. No test, and right more often than the one-standard-error rule of Breiman et al. 1984
 * with the paired error (docs/evidence.md). */
int64_t thaw_simplest_within(const double *mean, int64_t count, double margin);
/* The best mean; ties go to the simpler (first), NAN is worse than any. -1 for count < 1. */
int64_t thaw_best_rung(const double *mean, int64_t count);

/* ---- Verdicts ---- */

typedef enum thaw_depth_verdict {
    THAW_DEPTH_INCONCLUSIVE,
    THAW_DEPTH_CLEAR_GAIN,
    THAW_DEPTH_EQUIVALENT,
    THAW_DEPTH_WORSE
} thaw_depth_verdict;

typedef enum thaw_transfer_verdict {
    THAW_TRANSFER_NO_EVIDENCE,
    THAW_TRANSFER_HELPS,
    THAW_TRANSFER_NEGATIVE
} thaw_transfer_verdict;

const char *thaw_depth_verdict_name(
    thaw_depth_verdict v); /* "clear gain", "equivalent", "inconclusive", "worse" */
const char *thaw_transfer_verdict_name(
    thaw_transfer_verdict v); /* "helps", "no evidence", "negative transfer" */

typedef struct thaw_rule {
    double min_effect;      /* 0.01: a smaller point gain is not worth going deeper */
    double margin;          /* 0.01: an interval within -+margin is equivalence */
    double alpha;           /* 0.05: for the Holm-adjusted one-sided p */
    double slice_tolerance; /* 0.02: a slice whose interval lies below -tolerance is harmed */
    int64_t min_count; /* 30: fewer examples (or clusters) support no claim; they may still veto */
    double seed_majority; /* 2/3 of the seeds must show the gain's sign */
    bool
        alone; /* one comparison by itself: explanations speak neither of depth nor of a correction */
    bool
        two_sided; /* neither side was there first: p is two-sided, and a loss needs it as a gain does */
} thaw_rule;

thaw_rule thaw_rule_default(void);

/* Why a verdict is what it is; a set of bits. The first five are conditions of a clear gain that
 * failed. */
typedef enum thaw_reason {
    THAW_REASON_LOW_NOT_POSITIVE = 1, /* the interval reaches zero */
    THAW_REASON_EFFECT_SMALL = 2,     /* gain below min_effect */
    THAW_REASON_P_LARGE = 4,          /* Holm-adjusted p above alpha */
    THAW_REASON_SLICE_HARMED = 8,
    THAW_REASON_SEEDS_DISAGREE = 16,
    THAW_REASON_TOO_FEW = 32,       /* fewer examples or clusters than min_count */
    THAW_REASON_WITHIN_MARGIN = 64, /* the whole interval within -+margin */
    THAW_REASON_HIGH_NEGATIVE = 128 /* the whole interval below zero */
} thaw_reason;

/* One word for one bit, for JSON: "interval_reaches_zero", ...; NULL for an unknown bit. */
const char *thaw_reason_name(thaw_reason reason);

/* A verdict with all it was made from. */
typedef struct thaw_decision {
    thaw_paired evidence; /* deeper minus simpler, overall */
    thaw_rule rule;
    double p_adjusted;
    thaw_depth_verdict verdict;
    uint32_t reasons; /* thaw_reason bits */
    int64_t slices, slices_harmed, slices_too_few;
    int64_t worst_slice; /* index of the slice with the lowest interval top; -1 without slices */
    thaw_paired worst;   /* its evidence; zero without slices */
} thaw_decision;

/* Judges a deeper rung (B) against a simpler one (A). Clear gain iff low > 0 and delta >=
 * min_effect and p_adjusted <= alpha and no slice is harmed (its high < -slice_tolerance,
 * however few its examples) and at least seed_majority of the seeds gain and there are min_count
 * examples. Else equivalent iff the interval lies within -+margin. Else worse iff high < 0, so a
 * loss too small to matter is equivalence, not harm. Else inconclusive. With fewer than
 * min_count examples or clusters always inconclusive. slices: (slice_count) comparisons of the
 * same pair, NULL when 0. p_adjusted: from thaw_holm over the p_greater of all rungs judged
 * together. */
thaw_decision thaw_decide_depth(const thaw_paired *overall, double p_adjusted,
                                const thaw_paired *slices, int64_t slice_count,
                                const thaw_rule *rule);
/* The same for one slice on its own: interval, effect, seeds and count; no p, no further slices. */
thaw_decision thaw_decide_slice(const thaw_paired *slice, const thaw_rule *rule);
/* The decision with another p, that of a family. With rule.two_sided a difference below zero whose p is above alpha is inconclusive, not worse. */
void thaw_decision_adjust(thaw_decision *decision, double p_adjusted);
/* Judges a rung (B) against scratch (A): helps iff low > 0, negative transfer iff high < 0; with
 * fewer than min_count examples no evidence. reasons as above. */
thaw_transfer_verdict thaw_decide_transfer(const thaw_paired *against_scratch,
                                           const thaw_rule *rule, uint32_t *reasons);

/* Appends "+1.2 points [95% -0.3, +2.7]" (or plain numbers when not bounded). */
void thaw_paired_format(const thaw_paired *paired, thaw_str *out);
/* Appends one sentence a reason, with the figures and the limits; `worst_slice_name` may be
 * NULL. */
void thaw_decision_explain(const thaw_decision *decision, const char *worst_slice_name,
                           thaw_str *out);
void thaw_transfer_explain(const thaw_paired *against_scratch, const thaw_rule *rule,
                           thaw_str *out);

/* ---- Drift: how far the backbone moved ---- */

/* ||w - w0|| / ||w0|| over all tensors of a block: add each, then read. `thaw_motion m = {0};` */
typedef struct thaw_motion {
    double moved2, base2; /* sums of squares */
} thaw_motion;

void thaw_motion_add(thaw_motion *motion, const float *w, const float *w0, int64_t count);
/* 0 when nothing moved, INFINITY when all of w0 is zero and something moved. */
double thaw_motion_relative(const thaw_motion *motion);

/* Linear CKA of two feature matrices with the same rows, in one pass: add batches of rows, then
 * read. Everything kept is a sum (`sums`, `count`), so accumulators of disjoint rows are merged
 * by adding the flat array in a fixed order; memory is about D1^2 + D2^2 + D1 D2 doubles.
 *   Sources: Kornblith et al. 2019; unbiased HSIC: Song et al. 2012, eq. 5. */
typedef struct thaw_cka {
    int64_t D1, D2, count; /* count: doubles in sums */
    double *sums;          /* owned; sums[0] is the number of rows */
} thaw_cka;

THAW_NODISCARD thaw_status thaw_cka_init(thaw_cka *cka, int64_t D1,
                                         int64_t D2); /* THAW_ERR_RESOURCE */
void thaw_cka_clear(thaw_cka *cka);
void thaw_cka_add(thaw_cka *cka, const float *x, const float *y,
                  int64_t n);                              /* x (n, D1), y (n, D2) */
void thaw_cka_merge(thaw_cka *into, const thaw_cka *from); /* same D1, D2 */
/* Biased estimate in [0, 1], high when D approaches n; NAN when a side is constant. */
double thaw_cka_biased(const thaw_cka *cka);
/* Unbiased HSIC in numerator and denominator; may be slightly below 0; NAN for n < 4 or a
 * constant side. */
double thaw_cka_unbiased(const thaw_cka *cka);
/* Unbiased HSIC terms (xy, xx, yy), to average over batches. */
void thaw_cka_hsic(const thaw_cka *cka, double *xy, double *xx, double *yy);

/* Mean over rows of cos(x_i, y_i), both (n, D). A zero row counts 1 against a zero row, else 0.
 * n = 0: NAN. */
double thaw_mean_cosine(const float *x, const float *y, int64_t n, int64_t D);

/* ---- Metrics ---- */

/* Predictions of N samples beside what is true. `outputs` are probabilities, of regression the predicted values. */
typedef struct thaw_judged {
    thaw_task task;
    int64_t N, K;             /* K: classes, labels or targets */
    const int32_t *labels;    /* (N) classification */
    const int32_t *predicted; /* (N) classification */
    const float *targets;     /* (N, K) multi-label: 0 or 1; regression: values */
    const float *outputs;     /* (N, K) */
    const double *scale;  /* (K) regression: standard deviations of the training targets; NULL: 1 */
    const int32_t *times; /* (N) how often a sample counts, 0: not; NULL: each once */
} thaw_judged;

#define THAW_WHY 200 /* bytes of a reason */

/* One file and one line in src/evidence/kinds.def each. */
typedef struct thaw_metric {
    const char *name;     /* "macro_f1": in configs and files */
    const char *title;    /* "macro F1": in reports */
    const char *score;    /* title of thaw_metric_scores where they are something else; or NULL */
    unsigned tasks;       /* bits 1 << thaw_task */
    bool lower_is_better; /* of the value; scores are always better when larger */
    bool share;           /* in [0, 1], printed in percent; differences in points */
    bool binary;     /* of right and wrong: scores are 0 and 1, as McNemar and Wilson ask for */
    bool sorts;      /* takes N K log N operations, not N K */
    int64_t least_K; /* has a meaning from so many classes, labels or targets on */
    const struct thaw_metric_code *code; /* private */
} thaw_metric;

/* All of them, NULL-ended; by name, NULL when there is none; the default of a task: accuracy; auroc; rmse. */
const thaw_metric *const *thaw_metrics(void);
const thaw_metric *thaw_metric_find(const char *name);
const thaw_metric *thaw_metric_default(thaw_task task);
/* Whether it is defined for the task with K classes, labels or targets. */
bool thaw_metric_fits(const thaw_metric *metric, thaw_task task, int64_t K);

/* The value over all samples that count: the formulas of scikit-learn, except that macro means leave out columns on which a metric
 * is undefined. NAN, with the reason in `why` (THAW_WHY bytes, or NULL), when it is undefined on all of them; `why` is "" when nothing was
 * left out. Of ranks and of numbers it is undefined too where an output or target is not finite. THAW_ERR_RESOURCE. The metric must fit. */
THAW_NODISCARD thaw_status thaw_metric_value(const thaw_metric *metric, const thaw_judged *judged,
                                             double *value, char *why);
/* Percentile bootstrap over samples, or over clusters (N; NULL: none) that are drawn whole. Of a binary metric Wilson's interval, with
 * clusters only where all are right or none, since no resample differs there; then over as many as there are clusters. NAN at both ends for an undefined metric, for fewer than two
 * units (a binary metric without clusters takes one) and where most replicates are undefined. Statuses as thaw_metric_value. */
THAW_NODISCARD thaw_status thaw_metric_interval(const thaw_metric *metric,
                                                const thaw_judged *judged, const int32_t *cluster,
                                                const thaw_bootstrap *how, thaw_interval *out);
/* A score a sample, (N), for thaw_paired_compare; larger is better, 0 for a sample that does not count. Metrics that are means of something
 * give that; rmse gives 1 - mean over targets of (error / scale)^2, whose mean is the share of the training targets' variance that is
 * explained; macro metrics and rank correlations give jackknife pseudo-values, shifted so that their mean is the metric, and are thereby
 * compared as reader studies compare areas under curves (Dorfman, Berbaum & Metz 1992; Hillis 2007). An undefined metric gives
 * THAW_ERR_INPUT with the reason. */
THAW_NODISCARD thaw_status thaw_metric_scores(const thaw_metric *metric, const thaw_judged *judged,
                                              float *scores);
/* Degrees of freedom of the variance of a mean over columns (macro F1, AUROC) over samples, or over clusters (N; NULL: none): Satterthwaite's, as if
 * each column's part varied as one over the units that hold it, and of AUROC over those that do not as well. Two clusters of a rare class
 * leave about two, however many there are of others. INFINITY of other metrics. THAW_ERR_RESOURCE.  Source: Satterthwaite 1946. */
THAW_NODISCARD thaw_status thaw_metric_df(const thaw_metric *metric, const thaw_judged *judged,
                                          const int32_t *cluster, double *out);
/* The score that a task has for each sample alone, whatever the metric: right or wrong; F1 of a sample's labels; share of variance
 * explained (as of rmse). For slices, where macro metrics are mostly undefined. */
const thaw_metric *thaw_metric_of_sample(thaw_task task);

/* ---- A slice against the rest ---- */

/* Scores of one model; larger is better. Borrowed. */
typedef struct thaw_contrast_data {
    const float *scores; /* (N) */
    int64_t N;
    const int32_t *cluster; /* (N) any ids, or NULL: every sample on its own */
    const uint8_t *mask;    /* (N) nonzero = in the slice */
} thaw_contrast_data;

/* Mean score in the slice minus mean score outside it. */
typedef struct thaw_contrast {
    int64_t N, rest;           /* samples in the slice, and outside */
    int64_t units, rest_units; /* clusters among them; samples without clusters */
    double mean, rest_mean;    /* NAN of no samples */
    double delta, se;
    double low, high; /* two-sided */
    double p_less;    /* one-sided, H0: the slice is no worse. For thaw_holm */
} thaw_contrast;

/* A t interval and test with as many degrees of freedom as the side with fewer units has, less one. Its variance is that of sums over clusters,
 * which may lie on both sides; without clusters it is Welch's. With fewer than two units on a side nothing is known: se NAN, the interval
 * infinite, p 1. THAW_ERR_FAIL: level outside (0, 1). THAW_ERR_NUMERIC: a score is not finite. THAW_ERR_RESOURCE.
 *   Sources: Welch 1947; linearised clusters: Liang & Zeger 1986. */
THAW_NODISCARD thaw_status thaw_contrast_slice(const thaw_contrast_data *data, double level,
                                               thaw_contrast *out);

/* ---- Confusion ---- */

/* Adds to counts (K, K), row = label, column = prediction; mask (N) or NULL. THAW_ERR_INPUT: a
 * label or prediction outside 0..K-1 (counts is then partly filled). */
THAW_NODISCARD thaw_status thaw_confusion_add(const int32_t *labels, const int32_t *predictions,
                                              int64_t N, const uint8_t *mask, int64_t K,
                                              int64_t *counts);

/* Classes without examples have recall NAN and stay out of the means. */
typedef struct thaw_class_summary {
    int64_t N;
    double accuracy, balanced_accuracy; /* mean recall over classes that occur */
    double macro_f1;                    /* over classes that occur or are predicted */
} thaw_class_summary;

/* recall, precision, f1: (K) or NULL. */
thaw_class_summary thaw_confusion_summary(const int64_t *counts, int64_t K, double *recall,
                                          double *precision, double *f1);

typedef struct thaw_cell_change {
    int32_t label, prediction;
    int64_t before, after; /* counts as given (sum over seeds for both) */
} thaw_cell_change;

/* The off-diagonal cells that changed most between two rungs, largest change first (ties:
 * row-major order). Writes at most `most` cells, returns how many; unchanged cells are never
 * listed. */
int64_t thaw_confusion_changes(const int64_t *before, const int64_t *after, int64_t K,
                               thaw_cell_change *out, int64_t most);

/* ---- Transferability ---- */

/* LogME of features x (n, D) for labels in [0, K): ranks depths and backbones, proves nothing.
 * Cost about n D min(n, D) + 10 min(n, D)^3. THAW_ERR_INPUT: a label out of range;
 * THAW_ERR_RESOURCE.
 *   Source: You et al. 2021, arXiv:2102.11005 (sum of logarithms over the rank of x, as its code
 *   does). */
THAW_NODISCARD thaw_status thaw_logme(const float *x, int64_t n, int64_t D, const int32_t *labels,
                                      int64_t K, double *out);

/* H-score tr(C^-1 cov(E[x|y])) of features x (n, D), n >= 2, with the covariance C shrunk towards a multiple of the identity: larger for
 * features that tell classes apart; a ranking, no proof. 0 for constant features. Cost about n D^2 + D^3 / 3. THAW_ERR_INPUT: a label
 * out of range; THAW_ERR_RESOURCE.
 *   Sources: Bao et al. 2019; Ibrahim et al. 2021, arXiv:2110.06893 (shrinkage, by Ledoit & Wolf 2004). */
THAW_NODISCARD thaw_status thaw_h_score(const float *x, int64_t n, int64_t D, const int32_t *labels,
                                        int64_t K, double *out);

/* Features of n rows to learn from and of m others, with their labels in [0, K). */
typedef struct thaw_probe_data {
    const float *x; /* (n, D), n >= 2 */
    const int32_t *labels;
    int64_t n;
    const float *test_x; /* (m, D), m >= 1 */
    const int32_t *test_labels;
    int64_t m;
    int64_t D, K;
} thaw_probe_data;

/* What a linear classifier of the features gets right of the m rows: ridge regression on one-hot labels (features with mean 0 and
 * variance 1 by the n rows), the ridge of five that gets most of the n rows right when each is left out. Cost about n^2 (D + 5 n).
 * THAW_ERR_INPUT, THAW_ERR_RESOURCE.
 *   Sources: Hoerl & Kennard 1970; Rifkin & Lippert 2007 (leaving one out in closed form). */
THAW_NODISCARD thaw_status thaw_linear_probe(const thaw_probe_data *data, int64_t *right);

/* The same, with what it predicts of each of them: predicted (m), or NULL. */
THAW_NODISCARD thaw_status thaw_linear_predict(const thaw_probe_data *data, int32_t *predicted,
                                               int64_t *right);

/* ---- Labels: how many, and how fast they are learned by heart ---- */

#define THAW_CURVE_POINTS 3

/* Error of the linear probe on the m rows after a quarter, half and all of the n rows. */
typedef struct thaw_label_curve {
    int64_t n[THAW_CURVE_POINTS];       /* rows of one subset */
    int64_t subsets[THAW_CURVE_POINTS]; /* that share no row: 4, 2, 1; error is their mean */
    double error[THAW_CURVE_POINTS];
    thaw_interval interval[THAW_CURVE_POINTS];
    double factor, exponent; /* error = factor * n^-exponent */
    thaw_interval exponent_interval;
    int64_t now;                         /* labels that there are */
    double error_now, error_twice, gain; /* of the fit, at now and at 2 now, and the difference */
    thaw_interval gain_interval;
} thaw_label_curve;

/* Rows must be in random order. The fit is least squares on logarithms, with half an error and one row added, so that no error has a
 * logarithm. Intervals by percentile bootstrap over the m rows: they cover which rows there are to judge by, not which labels there are to
 * learn from, nor that another law may hold further on. THAW_ERR_INPUT for n < 8, and as thaw_linear_probe; THAW_ERR_FAIL: no resamples.
 *   Sources: Hestness et al. 2017, arXiv:1712.00409 (power law of error in samples). */
THAW_NODISCARD thaw_status thaw_label_curve_fit(const thaw_probe_data *data, int64_t now,
                                                const thaw_bootstrap *how, thaw_label_curve *out);

/* Of the n rows `wrong` get another label, at random; a probe that learns from all n is asked for them. */
typedef struct thaw_memorised {
    int64_t wrong;
    int64_t memorised;      /* it gives the wrong label */
    int64_t resisted;       /* it gives the true one */
    thaw_interval interval; /* Wilson's, of memorised / wrong */
} thaw_memorised;

/* One row in five, n >= 5 and K >= 2. THAW_ERR_INPUT, THAW_ERR_RESOURCE.
 *   Source: Zhang et al. 2017, arXiv:1611.03530 (random labels as a measure of what can be learned by heart). */
THAW_NODISCARD thaw_status thaw_memorise(const thaw_probe_data *data, uint64_t seed, double level,
                                         thaw_memorised *out);

typedef struct thaw_near {
    int64_t row, nearest; /* -1: there is no other */
    double cosine;        /* at most 1 */
} thaw_near;
/* Of each row of a (n, D) the row of b (m, D), m >= 2, of the largest cosine once columns are standardised by b's moments, the first of equals;
 * a may be b: no row is its own. A row that is b's mean has cosine 0 with all. Cost n m D. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_nearest_rows(const float *a, int64_t n, const float *b, int64_t m,
                                             int64_t D, thaw_near *out);

/* ---- Calibration ---- */

#define THAW_CALIBRATION_BINS 15

/* Of a classification. ece: expected calibration error. Samples in order of the predicted class's probability are cut into `bins` of equal
 * mass (the sample that n others come before is in bin n bins / N, rounded down; equal probabilities stay in the bin of the first of them);
 * it is the sum over bins of |sum of (right - probability)| / N. Of few samples it is too high, also for a model without fault. brier:
 * mean over samples of sum over classes of (probability - [class = label])^2, in [0, 2]. nll: mean of -log(probability of the label).
 *   Sources: Guo et al. 2017, arXiv:1706.04599; bins of equal mass: Nixon et al. 2019, arXiv:1904.01685; Brier 1950. */
typedef struct thaw_calibration {
    int64_t bins;
    double ece, brier, nll; /* NAN without samples, or where a probability is not finite */
    thaw_interval ece_interval, brier_interval, nll_interval;
} thaw_calibration;

/* Intervals by bootstrap over samples, or over clusters (N; NULL: none) that are drawn whole: percentiles for brier and nll; for ece reflected ones,
 * which take off what resampling adds and so may lie below the value. NAN for fewer than two units, and with how NULL. THAW_ERR_FAIL:
 * another task, bins below 1. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_calibrate(const thaw_judged *judged, const int32_t *cluster,
                                          int64_t bins, const thaw_bootstrap *how,
                                          thaw_calibration *out);

#define THAW_TEMPERATURE_MOST 100.0

/* The temperature T for which softmax(log(outputs) / T), which is softmax(logits / T), has the least cross-entropy; within 1 / 100 (every
 * sample right) and 100. 1 without samples. No prediction changes.  Source: Guo et al. 2017. */
double thaw_temperature_fit(const thaw_judged *judged);
/* outputs (N, K) at that temperature; out may be outputs. */
void thaw_temperature_apply(const float *outputs, int64_t N, int64_t K, double temperature,
                            float *out);

#ifdef __cplusplus
}
#endif

#include "thaw/evidence_gap.h"

#endif
