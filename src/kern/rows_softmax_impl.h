/* rows_softmax_impl.h - included by rows_body_impl.h: softmax over rows of attention scores, whole vectors only. */
#ifndef KERN_ROWS_SOFTMAX_IMPL_H
#define KERN_ROWS_SOFTMAX_IMPL_H

static void softmax(int64_t N, int64_t width, float scale, const float *bias, float *s,
                    float *stats)
{
    for (int64_t n = 0; n < N; n++) {
        float *row = s + n * width;
        lanes most = load(row) * scale + load(bias);
        for (int64_t i = LANES; i < width; i += LANES) {
            lanes value = load(row + i) * scale + load(bias + i);
            most = select((bits)(value > most), value, most);
        }
        float largest = most_of(most);
        lanes sum = {0};
        for (int64_t i = 0; i < width; i += LANES) {
            lanes value = exp_lanes(load(row + i) * scale + load(bias + i) - largest);
            store(row + i, value);
            sum += value;
        }
        stats[2 * n] = largest;
        stats[2 * n + 1] = (float)(1.0 / add_lanes(sum));
    }
}

static void softmax_again(int64_t N, int64_t width, float scale, const float *bias, float *s,
                          const float *stats)
{
    for (int64_t n = 0; n < N; n++) {
        float *row = s + n * width;
        for (int64_t i = 0; i < width; i += LANES)
            store(row + i, exp_lanes(load(row + i) * scale + load(bias + i) - stats[2 * n]) *
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
