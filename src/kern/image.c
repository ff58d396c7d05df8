/* image.c - image tensors in two layouts: their size, the way between them, acts, and the padded shortcut. */
#include "thaw/kern.h"

#include <string.h>

#include "kern/isa_impl.h"
#include "kern/threads_impl.h"

static int64_t lanes_of(const thaw_image *image)
{
    return image->block > 1 ? image->block : 1;
}

int64_t thaw_image_count(const thaw_image *image)
{
    int64_t lanes = lanes_of(image);
    return image->B * ((image->C + lanes - 1) / lanes * lanes) * image->H * image->W;
}

/* Block `index` of all images. */
static void reorder_block(const thaw_image *s, int32_t lanes, bool to_block, int64_t index,
                          const float *x, float *y, bool accumulate)
{
    const kern_isa_image *isa = &kern_isa_choose()->image;
    int64_t S = s->H * s->W;
    int64_t blocks = (s->C + lanes - 1) / lanes;
    int64_t first = index % blocks * lanes;
    int64_t plain = (index / blocks * s->C + first) * S;
    int64_t channels = s->C - first < lanes ? s->C - first : lanes;
    if (to_block)
        isa->to_block(channels, S, lanes, x + plain, y + index * S * lanes, accumulate);
    else
        isa->from_block(channels, S, lanes, x + index * S * lanes, y + plain, accumulate);
}

void thaw_kern_reorder(const thaw_image *from, const float *x, int32_t block, float *y,
                       bool accumulate)
{
    bool to_block = block > 1;
    int32_t lanes = to_block ? block : from->block;
    THAW_ASSERT((from->block <= 1) == to_block);
    KERN_EACH(thaw_image_count(from), from->B * ((from->C + lanes - 1) / lanes), i,
              reorder_block(from, lanes, to_block, i, x, y, accumulate));
}

void thaw_kern_act(int64_t n, thaw_act act, const float *x, float *y)
{
    if (act != THAW_ACT_NONE)
        KERN_SPLIT(n, n, at, count,
                   kern_isa_choose()->image.act(count, kern_bounds_of(act), x + at, y + at));
    else if (x != y)
        memcpy(y, x, (size_t)n * sizeof *y);
}

void thaw_kern_act_backward(int64_t n, thaw_act act, const float *y, const float *dy, float *dx,
                            bool accumulate)
{
    if (act != THAW_ACT_NONE)
        KERN_SPLIT(n, n, at, count,
                   kern_isa_choose()->image.act_backward(count, kern_bounds_of(act), y + at,
                                                         dy + at, dx + at, accumulate));
    else if (accumulate)
        thaw_kern_axpy(n, 1.0f, dy, dx);
    else if (dx != dy)
        memcpy(dx, dy, (size_t)n * sizeof *dx);
}

void thaw_kern_add_act(int64_t n, const float *a, float alpha, const float *b, thaw_act act,
                       float *y)
{
    KERN_SPLIT(n, n, at, count,
               kern_isa_choose()->image.add_act(count, a + at, alpha, b + at, kern_bounds_of(act),
                                                y + at));
}

void thaw_kern_relu(int64_t n, const float *x, float *y)
{
    thaw_kern_act(n, THAW_ACT_RELU, x, y);
}

void thaw_kern_relu_backward(int64_t n, const float *y, const float *dy, float *dx, bool accumulate)
{
    thaw_kern_act_backward(n, THAW_ACT_RELU, y, dy, dx, accumulate);
}

void thaw_kern_relu6(int64_t n, const float *x, float *y)
{
    thaw_kern_act(n, THAW_ACT_RELU6, x, y);
}

void thaw_kern_relu6_backward(int64_t n, const float *y, const float *dy, float *dx,
                              bool accumulate)
{
    thaw_kern_act_backward(n, THAW_ACT_RELU6, y, dy, dx, accumulate);
}

/* Where channel c of image b begins, and how far its pixels lie apart. */
static int64_t channel_at(const thaw_image *s, int64_t b, int64_t c)
{
    int64_t lanes = lanes_of(s);
    int64_t blocks = (s->C + lanes - 1) / lanes;
    return (b * blocks + c / lanes) * s->H * s->W * lanes + c % lanes;
}

/* Half of the new channels in front, the rest behind: F.pad of He et al. 2016's CIFAR networks as PyTorch users write it. */
static thaw_image padded(const thaw_image *in, int64_t out_channels, int64_t stride, int64_t *first)
{
    thaw_image out = *in;
    out.C = out_channels;
    out.H = (in->H - 1) / stride + 1;
    out.W = (in->W - 1) / stride + 1;
    *first = (out_channels - in->C) / 2;
    return out;
}

void thaw_kern_shortcut_pad(const thaw_image *in, int64_t out_channels, int64_t stride,
                            const float *x, float *y)
{
    int64_t first;
    thaw_image out = padded(in, out_channels, stride, &first);
    int64_t lanes = lanes_of(in);
    thaw_kern_fill(thaw_image_count(&out), 0.0f, y);
    KERN_EACH(thaw_image_count(&out), in->B * in->C, i, {
        const float *from = x + channel_at(in, i / in->C, i % in->C);
        float *to = y + channel_at(&out, i / in->C, first + i % in->C);
        for (int64_t h = 0; h < out.H; h++)
            for (int64_t w = 0; w < out.W; w++)
                to[(h * out.W + w) * lanes] = from[(h * in->W + w) * stride * lanes];
    });
}

void thaw_kern_shortcut_pad_backward(const thaw_image *in, int64_t out_channels, int64_t stride,
                                     const float *dy, float *dx, bool accumulate)
{
    int64_t first;
    thaw_image out = padded(in, out_channels, stride, &first);
    int64_t lanes = lanes_of(in);
    if (!accumulate)
        thaw_kern_fill(thaw_image_count(in), 0.0f, dx);
    KERN_EACH(thaw_image_count(&out), in->B * in->C, i, {
        float *to = dx + channel_at(in, i / in->C, i % in->C);
        const float *from = dy + channel_at(&out, i / in->C, first + i % in->C);
        for (int64_t h = 0; h < out.H; h++)
            for (int64_t w = 0; w < out.W; w++)
                to[(h * in->W + w) * stride * lanes] += from[(h * out.W + w) * lanes];
    });
}

/* Planes of a layout, each H rows of W pixels of `lanes` values. */
static int64_t plane_count(const thaw_image *s)
{
    return s->B * ((s->C + lanes_of(s) - 1) / lanes_of(s));
}

void thaw_kern_pad(const thaw_image *in, const thaw_border *border, const float *x, float *y)
{
    const int64_t lanes = lanes_of(in);
    const int64_t width = (in->W + border->left + border->right) * lanes;
    const int64_t height = in->H + border->top + border->bottom;
    KERN_EACH(plane_count(in) * height * width, plane_count(in), p, {
        float *to = y + p * height * width;
        memset(to, 0, (size_t)(height * width) * sizeof *to);
        for (int64_t h = 0; h < in->H; h++)
            memcpy(to + (border->top + h) * width + border->left * lanes,
                   x + (p * in->H + h) * in->W * lanes, (size_t)(in->W * lanes) * sizeof *to);
    });
}

void thaw_kern_pad_backward(const thaw_image *in, const thaw_border *border, const float *dy,
                            float *dx, bool accumulate)
{
    const int64_t lanes = lanes_of(in);
    const int64_t width = (in->W + border->left + border->right) * lanes;
    const int64_t height = in->H + border->top + border->bottom;
    KERN_EACH(plane_count(in) * height * width, plane_count(in) * in->H, row, {
        const int64_t p = row / in->H;
        const float *from =
            dy + (p * height + border->top + row % in->H) * width + border->left * lanes;
        float *to = dx + row * in->W * lanes;
        for (int64_t i = 0; i < in->W * lanes; i++)
            to[i] = from[i] + (accumulate ? to[i] : 0.0f);
    });
}
