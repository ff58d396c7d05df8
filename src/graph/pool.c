#include "thaw/graph.h"

#include "graph/pool_impl.h"

static thaw_pool2d make(const thaw_node *node, const thaw_shape *in, int64_t B)
{
    return (thaw_pool2d){.B = B,
                         .C = in->dim[0],
                         .H = in->dim[1],
                         .W = in->dim[2],
                         .KH = node->attr.pool.kernel,
                         .KW = node->attr.pool.kernel,
                         .stride_h = node->attr.pool.stride,
                         .stride_w = node->attr.pool.stride,
                         .pad_h = node->attr.pool.pad,
                         .pad_w = node->attr.pool.pad,
                         .count_padding = true}; /* PyTorch's default */
}

thaw_pool2d thaw_pool_sizes(const thaw_need *need, int64_t B)
{
    thaw_pool2d s = make(need->node, &need->in[0], B);
    s.block = need->block_out;
    bool fits = thaw_pool2d_output(&s);
    THAW_ASSERT(fits);
    return s;
}

thaw_status thaw_pool_shape(const thaw_node *node, const thaw_shape *in, thaw_shape *out)
{
    int64_t kernel = node->attr.pool.kernel;
    int64_t stride = node->attr.pool.stride;
    int64_t pad = node->attr.pool.pad;
    char text[80];
    THAW_TRY(thaw_check_image(&in[0]));
    THAW_CHECK(kernel > 0 && stride > 0 && pad >= 0 && kernel <= INT32_MAX && stride <= INT32_MAX,
               THAW_ERR_FAIL, "kernel %lld, stride %lld and pad %lld must be positive (pad: or 0)",
               (long long)kernel, (long long)stride, (long long)pad);
    THAW_CHECK(pad <= kernel / 2, THAW_ERR_FAIL,
               "pad %lld is more than half of kernel %lld: a window would lie outside the image",
               (long long)pad, (long long)kernel);
    thaw_shape_format(&in[0], text, sizeof text);
    thaw_pool2d s = make(node, &in[0], 1);
    THAW_CHECK(in[0].dim[1] * in[0].dim[2] <= INT32_MAX && thaw_pool2d_output(&s), THAW_ERR_FAIL,
               "kernel %lld with pad %lld does not fit into input %s; use larger images",
               (long long)kernel, (long long)pad, text);
    *out = thaw_shape_make(3, (int64_t[]){s.C, s.OH, s.OW});
    return THAW_OK;
}

double thaw_pool_flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)in;
    double area = (double)node->attr.pool.kernel * (double)node->attr.pool.kernel;
    return area * (double)thaw_shape_count(out);
}
