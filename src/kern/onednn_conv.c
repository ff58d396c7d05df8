/* onednn_conv.c - convolutions of oneDNN: primitives for a few B with one algorithm and one form of weights. */
#include "kern/onednn_api_impl.h"

#include <string.h>

enum { MOST_B = 8, ARRAYS = 6 };
enum { X, W, BIAS, Y, SCRATCH, SCALES };

typedef struct onednn_entry {
    int64_t B;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[ARRAYS];
    size_t scratch_bytes;
    void *own_scratch; /* where this B needs more than was planned */
    int64_t used;      /* when, to drop the oldest */
} onednn_entry;

struct onednn_conv {
    onednn_library *library;
    thaw_conv_spec spec;
    thaw_conv_pass pass;
    const onednn_bytes *bytes; /* NULL, or own_bytes */
    onednn_bytes own_bytes;
    dnnl_memory_desc_t plain, weights;
    bool has_descs;
    onednn_form form;
    dnnl_primitive_t pack, unpack;
    dnnl_memory_t plain_memory, weights_memory;
    onednn_entry entries[MOST_B];
    int entry_count;
    int64_t clock;
};

static dnnl_format_tag_t image_tag(int32_t block)
{
    static const dnnl_format_tag_t tags[3] = {dnnl_nChw4c, dnnl_nChw8c, dnnl_nChw16c};
    return block == 1 ? dnnl_nchw : tags[block / 8];
}

static int weight_dims(const thaw_conv2d *s, dnnl_dims_t dims)
{
    int n = 0;
    if (s->groups > 1)
        dims[n++] = s->groups;
    dims[n++] = s->O / s->groups;
    dims[n++] = s->C / s->groups;
    dims[n++] = s->KH;
    dims[n++] = s->KW;
    return n;
}

static void drop_descs(onednn_pass_descs *d)
{
    onednn_desc_drop(&d->x);
    onednn_desc_drop(&d->w);
    onednn_desc_drop(&d->bias);
    onednn_desc_drop(&d->y);
}

static dnnl_data_type_t byte_type(bool is_signed)
{
    return is_signed ? dnnl_s8 : dnnl_u8;
}

static dnnl_status_t image_desc(dnnl_memory_desc_t *out, const thaw_image *image,
                                const onednn_bytes *bytes, dnnl_data_type_t byte)
{
    dnnl_dims_t dims = {image->B, image->C, image->H, image->W};
    return bytes ? onednn_desc_make(out, 4, dims, byte, dnnl_nhwc)
                 : onednn_desc_make(out, 4, dims, dnnl_f32, image_tag(image->block));
}

/* weights NULL: any form. */
static dnnl_status_t make_descs(const thaw_conv_spec *spec, const onednn_bytes *bytes, int64_t B,
                                onednn_desc_ref weights, onednn_pass_descs *d)
{
    const thaw_conv2d *s = &spec->shape;
    memset(d, 0, sizeof *d);
    thaw_image x = conv_input_image(spec);
    thaw_image y = conv_output_image(spec);
    x.B = y.B = B;
    dnnl_dims_t w, bias = {s->O};
    int n = weight_dims(s, w);
    d->strides[0] = s->stride_h;
    d->strides[1] = s->stride_w;
    d->dilations[0] = s->dilation_h - 1;
    d->dilations[1] = s->dilation_w - 1;
    d->pad_before[0] = s->pad_h;
    d->pad_before[1] = s->pad_w;
    /* The last window may leave some rows of the padded image unread: what it needs, not more. */
    d->pad_after[0] = (s->OH - 1) * s->stride_h + (s->KH - 1) * s->dilation_h + 1 - s->H - s->pad_h;
    d->pad_after[1] = (s->OW - 1) * s->stride_w + (s->KW - 1) * s->dilation_w + 1 - s->W - s->pad_w;
    dnnl_status_t status =
        image_desc(&d->x, &x, bytes, bytes ? byte_type(bytes->x_signed) : dnnl_f32);
    if (status == dnnl_success)
        status = image_desc(&d->y, &y, bytes,
                            bytes && !bytes->y_float ? byte_type(bytes->y_signed) : dnnl_f32);
    if (status == dnnl_success)
        status = onednn_desc_make(&d->bias, 1, bias, dnnl_f32, dnnl_a);
    if (status == dnnl_success)
        status = weights ? onednn_desc_copy(&d->w, weights)
                         : onednn_desc_make(&d->w, n, w, bytes ? dnnl_s8 : dnnl_f32,
                                            dnnl_format_tag_any);
    if (status != dnnl_success)
        drop_descs(d);
    return status;
}

static dnnl_status_t append_residual(const onednn_bytes *bytes, dnnl_post_ops_t ops)
{
    if (bytes == NULL || bytes->y_float)
        return onednn_append_sum(ops, 1, dnnl_f32);
    return onednn_append_sum(ops, bytes->add_scale, byte_type(bytes->add_signed));
}

static dnnl_status_t make_attr(const thaw_conv_spec *spec, const onednn_bytes *bytes,
                               thaw_conv_pass pass, dnnl_primitive_attr_t *out)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(out);
    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success && pass == THAW_CONV_FORWARD && spec->add)
        status = append_residual(bytes, ops);
    if (status == dnnl_success && pass == THAW_CONV_FORWARD && spec->act != THAW_ACT_NONE)
        status = onednn_append_act(ops, spec->act, bytes ? bytes->six : 6);
    if (status == dnnl_success && bytes)
        status = onednn_scale_sums(*out, spec->shape.O, bytes->scales, spec->shape.groups > 1);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(*out, ops);
    if (ops)
        (void)dnnl_post_ops_destroy(ops);
    if (status != dnnl_success)
        (void)dnnl_primitive_attr_destroy(*out);
    return status;
}

static dnnl_status_t make_pass(const onednn_library *library, const thaw_conv_spec *spec,
                               const onednn_bytes *bytes, thaw_conv_pass pass, int64_t B,
                               onednn_desc_ref weights, dnnl_primitive_desc_t *out)
{
    onednn_pass_descs d;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = make_descs(spec, bytes, B, weights, &d);
    if (status != dnnl_success)
        return status;
    status = make_attr(spec, bytes, pass, &attr);
    if (status == dnnl_success && pass == THAW_CONV_FORWARD) {
        status = onednn_forward_desc(library, &d, spec->bias, attr, out);
    } else if (status == dnnl_success) {
        /* The hint has weights of any form. */
        onednn_pass_descs any;
        status = make_descs(spec, bytes, B, NULL, &any);
        if (status == dnnl_success) {
            status = onednn_forward_desc(library, &any, false, NULL, &hint);
            drop_descs(&any);
        }
        if (status == dnnl_success)
            status = onednn_backward_desc(library, &d, pass, attr, hint, out);
    }
    if (hint)
        (void)dnnl_primitive_desc_destroy(hint);
    if (attr)
        (void)dnnl_primitive_attr_destroy(attr);
    drop_descs(&d);
    return status;
}

bool onednn_conv_fits(const onednn_library *library, const thaw_conv_spec *spec,
                      thaw_conv_pass pass)
{
    dnnl_primitive_desc_t desc = NULL;
    if (make_pass(library, spec, NULL, pass, spec->shape.B, NULL, &desc) != dnnl_success)
        return false;
    const char *kernel = NULL;
    bool fits = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&kernel) ==
                    dnnl_success &&
                strstr(kernel, "ref") == NULL;
    (void)dnnl_primitive_desc_destroy(desc);
    return fits;
}

static void drop_entry(onednn_entry *entry)
{
    if (entry->primitive)
        (void)dnnl_primitive_destroy(entry->primitive);
    for (int i = 0; i < ARRAYS; i++)
        if (entry->memory[i])
            (void)dnnl_memory_destroy(entry->memory[i]);
    thaw_free(&entry->own_scratch);
    memset(entry, 0, sizeof *entry);
}

static dnnl_status_t entry_memory(const onednn_conv *conv, dnnl_primitive_desc_t desc,
                                  onednn_entry *entry)
{
    static const dnnl_query_t what[THAW_CONV_PASSES][SCALES] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_weights_md, dnnl_query_dst_md,
         dnnl_query_scratchpad_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_weights_md,
         dnnl_query_diff_dst_md, dnnl_query_scratchpad_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_weights_md,
         dnnl_query_diff_dst_md, dnnl_query_scratchpad_md}};
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < SCALES && status == dnnl_success; i++) {
        if (i == BIAS && !(conv->pass == THAW_CONV_FORWARD && conv->spec.bias))
            continue;
        onednn_desc_ref array = dnnl_primitive_desc_query_md(desc, what[conv->pass][i], i == BIAS);
        status =
            dnnl_memory_create(&entry->memory[i], array, conv->library->engine, DNNL_MEMORY_NONE);
        if (i == SCRATCH)
            entry->scratch_bytes = dnnl_memory_desc_get_size(array);
    }
    if (status == dnnl_success && conv->bytes && onednn_scales_argument() != 0) {
        dnnl_memory_desc_t scales;
        dnnl_dims_t dims = {conv->spec.shape.O};
        status = onednn_desc_make(&scales, 1, dims, dnnl_f32, dnnl_a);
        if (status == dnnl_success) {
            status = dnnl_memory_create(&entry->memory[SCALES], onednn_desc_of(&scales),
                                        conv->library->engine, DNNL_MEMORY_NONE);
            onednn_desc_drop(&scales);
        }
    }
    return status;
}

/* A primitive for B; the first settles the form of the weights. */
static dnnl_status_t fill_entry(onednn_conv *conv, int64_t B, onednn_entry *entry)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status =
        make_pass(conv->library, &conv->spec, conv->bytes, conv->pass, B,
                  conv->has_descs ? onednn_desc_of(&conv->weights) : NULL, &desc);
    if (status != dnnl_success)
        return status;
    if (!conv->has_descs) {
        dnnl_dims_t dims;
        int n = weight_dims(&conv->spec.shape, dims);
        onednn_desc_ref found = dnnl_primitive_desc_query_md(
            desc,
            conv->pass == THAW_CONV_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md
                                                     : dnnl_query_weights_md,
            0);
        status = onednn_desc_copy(&conv->weights, found);
        if (status == dnnl_success)
            status = onednn_desc_make(&conv->plain, n, dims, conv->bytes ? dnnl_s8 : dnnl_f32,
                                      n == 5 ? dnnl_goihw : dnnl_oihw);
        conv->has_descs = status == dnnl_success;
    }
    if (status == dnnl_success)
        status = dnnl_primitive_create(&entry->primitive, desc);
    if (status == dnnl_success)
        status = entry_memory(conv, desc, entry);
    (void)dnnl_primitive_desc_destroy(desc);
    entry->B = B;
    if (status != dnnl_success)
        drop_entry(entry);
    return status;
}

static dnnl_status_t make_reorder(onednn_conv *conv, bool back, dnnl_primitive_t *out)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_engine_t engine = conv->library->engine;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success && back)
        status = onednn_append_sum(ops, 1, dnnl_f32);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(
            &desc, onednn_desc_of(back ? &conv->weights : &conv->plain), engine,
            onednn_desc_of(back ? &conv->plain : &conv->weights), engine, attr);
    if (status == dnnl_success)
        status = dnnl_primitive_create(out, desc);
    if (desc)
        (void)dnnl_primitive_desc_destroy(desc);
    if (ops)
        (void)dnnl_post_ops_destroy(ops);
    if (attr)
        (void)dnnl_primitive_attr_destroy(attr);
    return status;
}

static void find_form(onednn_conv *conv)
{
    onednn_form *form = &conv->form;
    dnnl_dims_t strides, sizes, dimensions;
    int blocks = 0;
    form->bytes = dnnl_memory_desc_get_size(onednn_desc_of(&conv->weights));
    form->plain = onednn_desc_equal(onednn_desc_of(&conv->weights), onednn_desc_of(&conv->plain));
    if (!onednn_desc_blocking(onednn_desc_of(&conv->weights), strides, &blocks, sizes, dimensions))
        return;
    /* The last inner dimension is the innermost: output channels, number 0 where there are no groups. */
    form->in_squares = conv->spec.shape.groups == 1 && blocks == 2 && sizes[0] == sizes[1] &&
                       dimensions[0] == 1 && dimensions[1] == 0;
    if (form->in_squares)
        form->squares = (conv_squares){sizes[0], strides[0], strides[1], strides[2], strides[3]};
}

static dnnl_status_t set_up(onednn_conv *conv)
{
    dnnl_engine_t engine = conv->library->engine;
    dnnl_status_t status = fill_entry(conv, conv->spec.shape.B, &conv->entries[0]);
    if (status != dnnl_success)
        return status;
    conv->entry_count = 1;
    find_form(conv);
    status = dnnl_memory_create(&conv->plain_memory, onednn_desc_of(&conv->plain), engine,
                                DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&conv->weights_memory, onednn_desc_of(&conv->weights), engine,
                                    DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = conv->pass == THAW_CONV_BACKWARD_WEIGHTS ? make_reorder(conv, true, &conv->unpack)
                                                          : make_reorder(conv, false, &conv->pack);
    return status;
}

thaw_status onednn_conv_new(onednn_library *library, const thaw_conv_spec *spec,
                            thaw_conv_pass pass, const onednn_bytes *bytes, onednn_conv **out)
{
    onednn_conv *conv = NULL;
    THAW_TRY(thaw_alloc(&conv, 1, sizeof *conv));
    conv->library = library;
    conv->spec = *spec;
    conv->pass = pass;
    if (bytes) {
        conv->own_bytes = *bytes;
        conv->bytes = &conv->own_bytes;
    }
    dnnl_status_t status = set_up(conv);
    if (status != dnnl_success) {
        onednn_conv_free(&conv);
        return THAW_FAIL(status == dnnl_out_of_memory ? THAW_ERR_RESOURCE : THAW_ERR_FAIL,
                         "oneDNN cannot make a convolution (its status %d)", (int)status);
    }
    *out = conv;
    return THAW_OK;
}

void onednn_conv_free(onednn_conv **conv)
{
    onednn_conv *c = *conv;
    if (c == NULL)
        return;
    for (int i = 0; i < c->entry_count; i++)
        drop_entry(&c->entries[i]);
    dnnl_primitive_t reorders[2] = {c->pack, c->unpack};
    dnnl_memory_t memories[2] = {c->plain_memory, c->weights_memory};
    for (int i = 0; i < 2; i++) {
        if (reorders[i])
            (void)dnnl_primitive_destroy(reorders[i]);
        if (memories[i])
            (void)dnnl_memory_destroy(memories[i]);
    }
    onednn_desc_drop(&c->plain);
    onednn_desc_drop(&c->weights);
    thaw_free(conv);
}

const onednn_form *onednn_conv_form(const onednn_conv *conv)
{
    return &conv->form;
}

size_t onednn_conv_scratch_bytes(const onednn_conv *conv)
{
    return conv->entries[0].scratch_bytes;
}

static dnnl_status_t run_reorder(const onednn_conv *conv, dnnl_primitive_t reorder,
                                 dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    dnnl_status_t status = dnnl_primitive_execute(reorder, conv->library->stream, 2, arguments);
    return status == dnnl_success ? dnnl_stream_wait(conv->library->stream) : status;
}

static void set_array(dnnl_memory_t memory, const void *data)
{
    /* The library has one type for what it reads and what it writes. */
    THAW_ASSERT(dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data) == dnnl_success);
}

void onednn_conv_pack(onednn_conv *conv, const void *w, void *packed)
{
    set_array(conv->plain_memory, w);
    set_array(conv->weights_memory, packed);
    THAW_ASSERT(run_reorder(conv, conv->pack, conv->plain_memory, conv->weights_memory) ==
                dnnl_success);
}

void onednn_conv_unpack_add(onednn_conv *conv, const float *packed, float *w)
{
    set_array(conv->plain_memory, w);
    set_array(conv->weights_memory, packed);
    THAW_ASSERT(run_reorder(conv, conv->unpack, conv->weights_memory, conv->plain_memory) ==
                dnnl_success);
}

/* The primitives for B; made when B is new, in the place of the one that was not used for longest. */
static onednn_entry *entry_for(onednn_conv *conv, int64_t B)
{
    onednn_entry *oldest = NULL;
    for (int i = 0; i < conv->entry_count; i++) {
        onednn_entry *entry = &conv->entries[i];
        if (entry->B == B)
            return entry;
        /* The first, for the planned B, stays. */
        if (i > 0 && (oldest == NULL || entry->used < oldest->used))
            oldest = entry;
    }
    if (conv->entry_count < MOST_B)
        oldest = &conv->entries[conv->entry_count++];
    else
        drop_entry(oldest);
    /* What worked for the planned B fails for a smaller one only when memory is short. */
    THAW_ASSERT(fill_entry(conv, B, oldest) == dnnl_success);
    if (oldest->scratch_bytes > conv->entries[0].scratch_bytes &&
        thaw_alloc(&oldest->own_scratch, (int64_t)oldest->scratch_bytes, 1) != THAW_OK)
        thaw_abort(4);
    return oldest;
}

void onednn_conv_run(onednn_conv *conv, int64_t B, const onednn_arrays *arrays)
{
    static const int roles[THAW_CONV_PASSES][SCALES] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST,
         DNNL_ARG_SCRATCHPAD},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST,
         DNNL_ARG_SCRATCHPAD}};
    onednn_entry *entry = entry_for(conv, B);
    entry->used = ++conv->clock;
    const void *all[ARRAYS] = {arrays->data,
                               arrays->weights,
                               arrays->bias,
                               arrays->result,
                               entry->own_scratch ? entry->own_scratch : arrays->scratch,
                               conv->bytes ? conv->bytes->scales : NULL};
    dnnl_exec_arg_t arguments[ARRAYS];
    int count = 0;
    for (int i = 0; i < ARRAYS; i++) {
        if (entry->memory[i] == NULL)
            continue;
        set_array(entry->memory[i], all[i]);
        arguments[count++] = (dnnl_exec_arg_t){
            i == SCALES ? onednn_scales_argument() : roles[conv->pass][i], entry->memory[i]};
    }
    dnnl_stream_t stream = conv->library->stream;
    THAW_ASSERT(dnnl_primitive_execute(entry->primitive, stream, count, arguments) == dnnl_success);
    THAW_ASSERT(dnnl_stream_wait(stream) == dnnl_success);
}
