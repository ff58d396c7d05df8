/* shape.c - output sizes of convolution and pooling. */
#include "thaw/kern.h"

/* Number of places of a window along one axis; 0 when it does not fit. */
static int64_t places(int64_t size, int64_t window, int64_t stride, int64_t pad, int64_t dilation)
{
    if (size < 1 || window < 1 || stride < 1 || pad < 0 || dilation < 1)
        return 0;
    int64_t reach = size + 2 * pad - dilation * (window - 1) - 1;
    return reach < 0 ? 0 : reach / stride + 1;
}

bool thaw_conv2d_output(thaw_conv2d *shape)
{
    if (shape->groups < 1 || shape->C % shape->groups != 0 || shape->O % shape->groups != 0)
        return false;
    shape->OH = places(shape->H, shape->KH, shape->stride_h, shape->pad_h, shape->dilation_h);
    shape->OW = places(shape->W, shape->KW, shape->stride_w, shape->pad_w, shape->dilation_w);
    return shape->OH > 0 && shape->OW > 0 && shape->C > 0 && shape->O > 0;
}

bool thaw_pool2d_output(thaw_pool2d *shape)
{
    /* A window that may lie wholly in the padding has no maximum: PyTorch's rule is pad <= kernel / 2. */
    if (2 * shape->pad_h > shape->KH || 2 * shape->pad_w > shape->KW)
        return false;
    shape->OH = places(shape->H, shape->KH, shape->stride_h, shape->pad_h, 1);
    shape->OW = places(shape->W, shape->KW, shape->stride_w, shape->pad_w, 1);
    return shape->OH > 0 && shape->OW > 0 && shape->C > 0;
}
