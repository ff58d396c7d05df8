/* rows_softmax_impl.h - included by rows_body_impl.h: softmax over rows of attention scores, whole vectors only. */
#ifndef KERN_ROWS_SOFTMAX_IMPL_H
#define KERN_ROWS_SOFTMAX_IMPL_H

INLINE float largest_of_row(int64_t width, float scale, const float *bias, const float *row)
{
    lanes most = load(row) * scale + load(bias);
    for (int64_t i = LANES; i < width; i += LANES)
        most = larger(load(row + i) * scale + load(bias + i), most);
    return most_of(most);
}

INLINE float exponentials(int64_t width, float scale, const float *bias, float largest, float *row)
{
    lanes sum = {0};
    for (int64_t i = 0; i < width; i += LANES) {
        lanes value = exp_below_88(load(row + i) * scale + load(bias + i) - largest);
        store(row + i, value);
        sum += value;
    }
    return (float)(1.0 / add_lanes(sum));
}

/* Some rows together: what one row's largest value waits for, others fill. */
static void softmax(int64_t N, int64_t width, float scale, const float *bias, float *s,
                    float *stats)
{
    enum { TOGETHER = 16 };
    for (int64_t from = 0; from < N; from += TOGETHER) {
        int64_t to = from + TOGETHER < N ? from + TOGETHER : N;
        for (int64_t n = from; n < to; n++)
            stats[2 * n] = largest_of_row(width, scale, bias, s + n * width);
        for (int64_t n = from; n < to; n++)
            stats[2 * n + 1] = exponentials(width, scale, bias, stats[2 * n], s + n * width);
    }
}

static void softmax_again(int64_t N, int64_t width, float scale, const float *bias, float *s,
                          const float *stats)
{
    for (int64_t n = 0; n < N; n++) {
        float *row = s + n * width;
        for (int64_t i = 0; i < width; i += LANES)
            store(row + i, exp_below_88(load(row + i) * scale + load(bias + i) - stats[2 * n]) *
                               stats[2 * n + 1]);
    }
}

static void softmax_backward(int64_t N, int64_t width, float scale, const float *p, float *dp)
{
    for (int64_t n = 0; n < N; n++) {
        const float *row = p + n * width;
        float *out = dp + n * width;
        lanes sum = {0};
        for (int64_t i = 0; i < width; i += LANES)
            sum += load(row + i) * load(out + i);
        float mean = (float)add_lanes(sum);
        for (int64_t i = 0; i < width; i += LANES)
            store(out + i, load(row + i) * (load(out + i) - mean) * scale);
    }
}

#endif
