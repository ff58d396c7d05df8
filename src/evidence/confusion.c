#include "thaw/evidence.h"

#include <math.h>

thaw_status thaw_confusion_add(const int32_t *labels, const int32_t *predictions, int64_t N,
                               const uint8_t *mask, int64_t K, int64_t *counts)
{
    for (int64_t i = 0; i < N; i++) {
        if (mask && !mask[i])
            continue;
        THAW_CHECK(labels[i] >= 0 && labels[i] < K, THAW_ERR_INPUT,
                   "label %d of example %lld is outside 0..%lld", (int)labels[i], (long long)i,
                   (long long)K - 1);
        THAW_CHECK(predictions[i] >= 0 && predictions[i] < K, THAW_ERR_INPUT,
                   "prediction %d of example %lld is outside 0..%lld", (int)predictions[i],
                   (long long)i, (long long)K - 1);
        counts[labels[i] * K + predictions[i]]++;
    }
    return THAW_OK;
}

thaw_class_summary thaw_confusion_summary(const int64_t *counts, int64_t K, double *recall,
                                          double *precision, double *f1)
{
    thaw_class_summary summary = {0, NAN, NAN, NAN};
    int64_t right = 0;
    int64_t occurring = 0;
    int64_t scored = 0;
    double recall_sum = 0;
    double f1_sum = 0;
    for (int64_t k = 0; k < K; k++) {
        int64_t hit = counts[k * K + k];
        int64_t actual = 0;
        int64_t predicted = 0;
        for (int64_t j = 0; j < K; j++) {
            actual += counts[k * K + j];
            predicted += counts[j * K + k];
        }
        double class_recall = actual ? (double)hit / (double)actual : NAN;
        double class_f1 = actual + predicted ? 2 * (double)hit / (double)(actual + predicted) : NAN;
        summary.N += actual;
        right += hit;
        recall_sum += actual ? class_recall : 0;
        occurring += actual > 0;
        f1_sum += actual + predicted ? class_f1 : 0;
        scored += actual + predicted > 0;
        if (recall)
            recall[k] = class_recall;
        if (precision)
            precision[k] = predicted ? (double)hit / (double)predicted : NAN;
        if (f1)
            f1[k] = class_f1;
    }
    if (summary.N > 0) {
        summary.accuracy = (double)right / (double)summary.N;
        summary.balanced_accuracy = recall_sum / (double)occurring;
        summary.macro_f1 = f1_sum / (double)scored;
    }
    return summary;
}

static int64_t size_of_change(const thaw_cell_change *cell)
{
    return cell->after > cell->before ? cell->after - cell->before : cell->before - cell->after;
}

int64_t thaw_confusion_changes(const int64_t *before, const int64_t *after, int64_t K,
                               thaw_cell_change *out, int64_t most)
{
    int64_t count = 0;
    for (int64_t cell = 0; cell < K * K; cell++) {
        if (cell / K == cell % K || before[cell] == after[cell] || most < 1)
            continue;
        thaw_cell_change change = {(int32_t)(cell / K), (int32_t)(cell % K), before[cell],
                                   after[cell]};
        int64_t at = count;
        while (at > 0 && size_of_change(&out[at - 1]) < size_of_change(&change))
            at--;
        if (at >= most)
            continue;
        count += count < most;
        for (int64_t i = count - 1; i > at; i--)
            out[i] = out[i - 1];
        out[at] = change;
    }
    return count;
}
