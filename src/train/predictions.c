#include "train/train_impl.h"

#include <math.h>
#include <string.h>

#include "thaw/ckpt.h"

static thaw_status allocate(thaw_predictions *p, int64_t N, int64_t K, bool clusters)
{
    memset(p, 0, sizeof *p);
    p->N = N;
    p->K = K;
    THAW_TRY(thaw_alloc(&p->labels, N, sizeof *p->labels));
    THAW_TRY(thaw_alloc(&p->predicted, N, sizeof *p->predicted));
    THAW_TRY(thaw_alloc(&p->loss, N, sizeof *p->loss));
    THAW_TRY(thaw_alloc(&p->probs, N * K, sizeof *p->probs));
    if (clusters)
        THAW_TRY(thaw_alloc(&p->cluster, N, sizeof *p->cluster));
    return THAW_OK;
}

void thaw_predictions_clear(thaw_predictions *p)
{
    thaw_free(&p->labels);
    thaw_free(&p->predicted);
    thaw_free(&p->loss);
    thaw_free(&p->probs);
    thaw_free(&p->cluster);
    memset(p, 0, sizeof *p);
}

/* The class of the largest logit; the first one when several are equal. */
static int32_t largest(int64_t K, const float *logits)
{
    int32_t best = 0;
    for (int32_t k = 1; k < K; k++) {
        if (logits[k] > logits[best])
            best = k;
    }
    return best;
}

thaw_status thaw_predictions_from_logits(const thaw_dataset *dataset, int64_t split,
                                         const float *logits, thaw_predictions *out)
{
    const int64_t N = thaw_dataset_count(dataset, split);
    const int64_t K = thaw_dataset_classes(dataset);
    const int32_t *labels = thaw_dataset_labels(dataset, split);
    const int32_t *cluster = thaw_dataset_clusters(dataset, split);
    thaw_status status;
    THAW_TRY_TO(allocate(out, N, K, cluster != NULL));
    /* Without labels the loss means nothing: label 0 stands in for the arithmetic and is taken back below. */
    if (labels != NULL)
        memcpy(out->labels, labels, (size_t)N * sizeof *labels);
    if (cluster != NULL)
        memcpy(out->cluster, cluster, (size_t)N * sizeof *cluster);
    double weight_sum = 0;
    thaw_kern_softmax_cross_entropy(N, K, logits, out->labels, 0, NULL, out->loss, out->probs,
                                    &weight_sum);
    for (int64_t i = 0; i < N; i++) {
        out->predicted[i] = largest(K, logits + i * K);
        if (labels == NULL) {
            out->labels[i] = -1;
            out->loss[i] = NAN;
        }
    }
done:
    if (status != THAW_OK)
        thaw_predictions_clear(out);
    return status;
}

double thaw_predictions_accuracy(const thaw_predictions *p, const uint8_t *mask)
{
    int64_t count = 0;
    int64_t right = 0;
    for (int64_t i = 0; i < p->N; i++) {
        if (mask == NULL || mask[i] != 0) {
            count++;
            right += p->labels[i] == p->predicted[i];
        }
    }
    return count == 0 ? NAN : (double)right / (double)count;
}

double thaw_predictions_loss(const thaw_predictions *p, const uint8_t *mask)
{
    int64_t count = 0;
    double sum = 0;
    for (int64_t i = 0; i < p->N; i++) {
        if (mask == NULL || mask[i] != 0) {
            count++;
            sum += (double)p->loss[i];
        }
    }
    return count == 0 ? NAN : sum / (double)count;
}

static void file_of(const char *directory, const char *split, thaw_str *out)
{
    thaw_str name = {0};
    thaw_str_printf(&name, "predictions-%s.h5", split);
    thaw_path_join(out, directory, thaw_str_c(&name));
    thaw_str_clear(&name);
}

static thaw_status as_state(const thaw_predictions *p, thaw_state *out)
{
    THAW_TRY(thaw_state_add(out, "label", THAW_I32, thaw_shape1(p->N), p->labels));
    THAW_TRY(thaw_state_add(out, "predicted", THAW_I32, thaw_shape1(p->N), p->predicted));
    THAW_TRY(thaw_state_add(out, "loss", THAW_F32, thaw_shape1(p->N), p->loss));
    THAW_TRY(thaw_state_add(out, "probability", THAW_F32, thaw_shape2(p->N, p->K), p->probs));
    if (p->cluster != NULL)
        THAW_TRY(thaw_state_add(out, "cluster", THAW_I32, thaw_shape1(p->N), p->cluster));
    return THAW_OK;
}

thaw_status thaw_predictions_write(thaw_comm *comm, const char *run_directory, const char *split,
                                   const thaw_predictions *p)
{
    thaw_str path = {0};
    thaw_state state = {0};
    file_of(run_directory, split, &path);
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, as_state(p, &state)));
    status = thaw_ckpt_write(comm, thaw_str_c(&path), &state, NULL, NULL);
done:
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}

static thaw_status from_state(const char *path, const thaw_state *state, thaw_predictions *out)
{
    const thaw_tensor *probs = thaw_state_find(state, "probability");
    THAW_CHECK(probs != NULL && probs->shape.ndim == 2, THAW_ERR_INPUT,
               "%s: no (N, K) dataset 'probability'; this is no predictions file", path);
    THAW_TRY(allocate(out, probs->shape.dim[0], probs->shape.dim[1],
                      thaw_state_find(state, "cluster") != NULL));
    thaw_state into = {0};
    thaw_status status = as_state(out, &into);
    if (status == THAW_OK)
        status = thaw_state_copy(&into, state);
    thaw_state_clear(&into);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", path);
}

thaw_status thaw_predictions_read(thaw_comm *comm, const char *run_directory, const char *split,
                                  thaw_predictions *out)
{
    thaw_str path = {0};
    thaw_state state = {0};
    memset(out, 0, sizeof *out);
    file_of(run_directory, split, &path);
    thaw_status status;
    THAW_TRY_TO(thaw_ckpt_read(comm, thaw_str_c(&path), &state, NULL));
    status = thaw_agree(comm, from_state(thaw_str_c(&path), &state, out));
    if (status != THAW_OK)
        thaw_predictions_clear(out);
done:
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}
