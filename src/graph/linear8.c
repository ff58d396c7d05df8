/* A frozen linear layer on bytes, floats in and out. Only lowering makes such nodes. */
#include "thaw/graph.h"

#include "graph/plan_impl.h"

static int64_t inputs(const thaw_need *need)
{
    return need->in[0].dim[need->in[0].ndim - 1];
}

static int64_t outputs(const thaw_need *need)
{
    return need->out.dim[need->out.ndim - 1];
}

static int64_t rows(const thaw_need *need, int64_t B)
{
    return B * thaw_shape_count(&need->in[0]) / inputs(need);
}

static size_t workspace(const thaw_need *need, const void *object, bool backward)
{
    (void)object;
    return backward ? 0 : thaw_linear8_workspace_bytes(rows(need, need->B), inputs(need));
}

static size_t constant_bytes(const thaw_need *need, const void *object)
{
    (void)object;
    return thaw_linear8_packed_bytes(outputs(need), inputs(need));
}

static thaw_status fill(const thaw_call *call, void *constants, float *scratch)
{
    thaw_linear8_pack(outputs(call->need), inputs(call->need), call->param[0], constants, scratch);
    return THAW_OK;
}

static void forward(const thaw_call *call)
{
    const thaw_need *need = call->need;
    const int gelu = need->node->attr.linear.gelu;
    const float *bias = need->node->attr.linear.bias ? call->param[1] : NULL;
    const int64_t N = rows(need, call->run->B);
    const int64_t O = outputs(need);
    thaw_linear8_run(N, O, inputs(need), call->x[0], call->constants, bias, call->y,
                     call->workspace);
    if (gelu != 0)
        thaw_kern_gelu(N * O, gelu == 2, call->y, call->y, NULL);
}

static double flops(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    return thaw_op_linear.flops(node, in, out);
}

const thaw_op thaw_op_linear8 = {
    .kind = "linear8",
    .input_count = 1,
    .flops = flops,
    .workspace = workspace,
    .constant_bytes = constant_bytes,
    .fill = fill,
    .forward = forward,
};
