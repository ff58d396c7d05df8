/* isa_winograd_impl.h - included by isa_*.c: the transforms of Winograd's minimal filtering F(4x4, 3x3), vectorised over
 * channels. Source: Lavin & Gray 2016, arXiv:1509.09308, section 4.3, points 0, 1, -1, 2, -2. Gradients use the transposed
 * maps: they are the exact adjoint of the forward pass. A plane is one of the 36 points. */
#ifndef KERN_ISA_WINOGRAD_IMPL_H
#define KERN_ISA_WINOGRAD_IMPL_H

/* t = B^T d */
INLINE void input_line(lanes d[6], lanes t[6])
{
    lanes even = d[4] - 4.0f * d[2];
    lanes odd = d[3] - 4.0f * d[1];
    lanes even2 = d[4] - d[2];
    lanes odd2 = d[3] - d[1];
    t[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even2 + 2.0f * odd2;
    t[4] = even2 - 2.0f * odd2;
    t[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/* y = A^T m */
INLINE void output_line(lanes m[6], lanes y[4])
{
    lanes sum = m[1] + m[2];
    lanes difference = m[1] - m[2];
    lanes sum2 = m[3] + m[4];
    lanes difference2 = m[3] - m[4];
    y[0] = m[0] + sum + sum2;
    y[1] = difference + 2.0f * difference2;
    y[2] = sum + 4.0f * sum2;
    y[3] = difference + 8.0f * difference2 + m[5];
}

/* t = A y, the adjoint of output_line */
INLINE void gradient_line(lanes y[4], lanes t[6])
{
    lanes even = y[0] + y[2];
    lanes odd = y[1] + y[3];
    lanes even4 = y[0] + 4.0f * y[2];
    lanes odd4 = y[1] + 4.0f * y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even4 + 2.0f * odd4;
    t[4] = even4 - 2.0f * odd4;
    t[5] = y[3];
}

/* u = G g */
INLINE void weight_line(lanes g[3], lanes u[6])
{
    lanes ends = (g[0] + g[2]) * (-1.0f / 6);
    lanes middle = g[1] * (1.0f / 6);
    lanes ends2 = g[0] * (1.0f / 24) + g[2] * (1.0f / 6);
    lanes middle2 = g[1] * (1.0f / 12);
    u[0] = g[0] * 0.25f;
    u[1] = ends - middle;
    u[2] = ends + middle;
    u[3] = ends2 + middle2;
    u[4] = ends2 - middle2;
    u[5] = g[2];
}

/* g = G^T u, the adjoint of weight_line */
INLINE void weight_gradient_line(lanes u[6], lanes g[3])
{
    lanes sum = (u[1] + u[2]) * (-1.0f / 6);
    lanes sum2 = u[3] + u[4];
    g[0] = u[0] * 0.25f + sum + sum2 * (1.0f / 24);
    g[1] = (u[2] - u[1]) * (1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
    g[2] = sum + sum2 * (1.0f / 6) + u[5];
}

#define TRANSFORM_LINES(name, from, to)                                                            \
    INLINE void name##_square(lanes in[from][from], lanes out[to][to])                             \
    {                                                                                              \
        lanes half[from][to];                                                                      \
        UNROLL                                                                                     \
        for (int i = 0; i < from; i++)                                                             \
            name##_line(in[i], half[i]);                                                           \
        UNROLL                                                                                     \
        for (int j = 0; j < to; j++) {                                                             \
            lanes column[from];                                                                    \
            lanes result[to];                                                                      \
            UNROLL                                                                                 \
            for (int i = 0; i < from; i++)                                                         \
                column[i] = half[i][j];                                                            \
            name##_line(column, result);                                                           \
            UNROLL                                                                                 \
            for (int i = 0; i < to; i++)                                                           \
                out[i][j] = result[i];                                                             \
        }                                                                                          \
    }

TRANSFORM_LINES(input, 6, 6)
TRANSFORM_LINES(output, 6, 4)
TRANSFORM_LINES(gradient, 4, 6)
TRANSFORM_LINES(weight, 3, 6)
TRANSFORM_LINES(weight_gradient, 6, 3)

/* A function over all channels: reads `from` x `from` vectors at in_row, in_column, writes `to` x `to` at out_row, out_column. */
#define TRANSFORM(name, from, to)                                                                  \
    static void winograd_##name(int64_t channels, const float *in, int64_t in_row,                 \
                                int64_t in_column, float *out, int64_t out_row,                    \
                                int64_t out_column)                                                \
    {                                                                                              \
        for (int64_t c = 0; c < channels; c += LANES) {                                            \
            lanes before[from][from];                                                              \
            lanes after[to][to];                                                                   \
            UNROLL                                                                                 \
            for (int i = 0; i < from; i++)                                                         \
                UNROLL                                                                             \
            for (int j = 0; j < from; j++)                                                         \
                before[i][j] = load(in + c + i * in_row + j * in_column);                          \
            name##_square(before, after);                                                          \
            UNROLL                                                                                 \
            for (int i = 0; i < to; i++)                                                           \
                UNROLL                                                                             \
            for (int j = 0; j < to; j++)                                                           \
                store(out + c + i * out_row + j * out_column, after[i][j]);                        \
        }                                                                                          \
    }

TRANSFORM(input, 6, 6)
TRANSFORM(output, 6, 4)
TRANSFORM(gradient, 4, 6)
TRANSFORM(weight, 3, 6)
TRANSFORM(weight_gradient, 6, 3)

#endif
