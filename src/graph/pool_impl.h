/* graph/pool_impl.h - what max_pool and avg_pool share: square windows over (C, H, W). */
#ifndef THAW_GRAPH_POOL_IMPL_H
#define THAW_GRAPH_POOL_IMPL_H

#include "graph/op_impl.h"

thaw_pool2d thaw_pool_sizes(const thaw_need *need, int64_t B);
THAW_NODISCARD thaw_status thaw_pool_shape(const thaw_node *node, const thaw_shape *in,
                                           thaw_shape *out);
double thaw_pool_flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out);

#endif
