/* isa_finish_impl.h - included by isa_body_impl.h: what happens to results of convolutions on their way to memory. */
#ifndef KERN_ISA_FINISH_IMPL_H
#define KERN_ISA_FINISH_IMPL_H

typedef int32_t lane_bits __attribute__((vector_size(LANES * 4)));

/* NaN passes: where a comparison is false the value stays. */
INLINE lanes finish_lanes(lanes value, const thaw_act act)
{
    lanes six = (lanes){0} + 6.0f;
    if (act != THAW_ACT_NONE)
        value = (lanes)((lane_bits)value & ~(lane_bits)(value < (lanes){0}));
    if (act == THAW_ACT_RELU6) {
        lane_bits above = (lane_bits)(value > six);
        value = (lanes)(((lane_bits)value & ~above) | ((lane_bits)six & above));
    }
    return value;
}

/* `run` is a call with `add` and `act` constant. */
#define FINISH_CASES(finish, run)                                                                  \
    if ((finish)->act == THAW_ACT_NONE && !(finish)->add)                                          \
        run(false, THAW_ACT_NONE);                                                                 \
    else if ((finish)->act == THAW_ACT_NONE)                                                       \
        run(true, THAW_ACT_NONE);                                                                  \
    else if ((finish)->act == THAW_ACT_RELU && !(finish)->add)                                     \
        run(false, THAW_ACT_RELU);                                                                 \
    else if ((finish)->act == THAW_ACT_RELU)                                                       \
        run(true, THAW_ACT_RELU);                                                                  \
    else if (!(finish)->add)                                                                       \
        run(false, THAW_ACT_RELU6);                                                                \
    else                                                                                           \
        run(true, THAW_ACT_RELU6)

INLINE void finish_store(lanes value, lanes bias, const bool add, const thaw_act act, float *to)
{
    value += bias;
    store(to, finish_lanes(add ? value + load(to) : value, act));
}

INLINE lanes finish_bias(const kern_finish *finish)
{
    return finish->bias ? load(finish->bias) : (lanes){0};
}

INLINE void finish_rows_as(int64_t rows, const float *in, int64_t in_stride,
                           const kern_finish *finish, const bool add, const thaw_act act,
                           float *out, int64_t out_stride)
{
    lanes bias = finish_bias(finish);
    for (int64_t r = 0; r < rows; r++)
        finish_store(load(in + r * in_stride), bias, add, act, out + r * out_stride);
}

static void finish_rows(int64_t rows, const float *in, int64_t in_stride, const kern_finish *finish,
                        float *out, int64_t out_stride)
{
#define RUN(add, act) finish_rows_as(rows, in, in_stride, finish, add, act, out, out_stride)
    FINISH_CASES(finish, RUN);
#undef RUN
}

#endif
