#include "train/train_impl.h"

/* Samples of val that look like one of train to the frozen backbone: what a comparison of values does not see, as of a picture that was
 * scaled or stored again. */

static int64_t at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

static int64_t count_near(const thaw_near *rows, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += rows[i].nearest >= 0 && rows[i].cosine >= THAW_NEAR_COSINE;
    return count;
}

/* The closest few, the closest first; the first of equals. */
static void keep_closest(const thaw_near *rows, int64_t n, thaw_near_samples *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = out->kept;
        if (rows[i].nearest < 0 || rows[i].cosine < THAW_NEAR_COSINE)
            continue;
        while (at > 0 && out->closest[at - 1].cosine < rows[i].cosine)
            at--;
        if (at >= THAW_NEAR_KEPT)
            continue;
        out->kept = at_most(out->kept + 1, THAW_NEAR_KEPT);
        for (int64_t k = out->kept - 1; k > at; k--)
            out->closest[k] = out->closest[k - 1];
        out->closest[at] = rows[i];
    }
}

thaw_status thaw_probe_near(const thaw_probe_data *data, int64_t width, thaw_near_samples *out)
{
    const int64_t n = at_most(data->n, THAW_NEAR_MOST);
    const int64_t m = at_most(data->m, THAW_NEAR_MOST);
    thaw_near *rows = NULL;
    thaw_status status;
    *out = (thaw_near_samples){.train = n, .val = m};
    if (n < 2)
        return THAW_OK;
    THAW_TRY_TO(thaw_alloc(&rows, n > m ? n : m, sizeof *rows));
    THAW_TRY_TO(thaw_nearest_rows(data->x, n, data->x, n, width, rows));
    out->near_train = count_near(rows, n);
    THAW_TRY_TO(thaw_nearest_rows(data->test_x, m, data->x, n, width, rows));
    out->near_val = count_near(rows, m);
    keep_closest(rows, m, out);
    status = THAW_OK;
done:
    thaw_free(&rows);
    return status;
}
