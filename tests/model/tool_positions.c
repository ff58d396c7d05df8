/* Resamples the places of a vision transformer for test_positions_live.sh: tool H W NEW_H NEW_W reads (1 + H W / 256, 192) floats from
 * stdin and writes those of the new size. Sizes are in pixels, patches of 16.
 * thaw-test: modules=base,tensor,kern,graph,model */
#include "thaw/model.h"

#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what)
{
    (void)fprintf(stderr, "tool_positions: %s\n", what);
    return 1;
}

int main(int count, char **arguments)
{
    int64_t sizes[4];
    char arch[] = "vit_tiny_patch16_224";
    if (count != 5)
        return fail("four sizes are needed");
    for (int i = 0; i < 4; i++)
        if (!thaw_parse_int(arguments[i + 1], &sizes[i]))
            return fail("sizes are numbers");
    const thaw_model_spec source = {.arch = arch, .C = 3, .H = sizes[0], .W = sizes[1], .K = 2};
    const thaw_model_spec wanted = {.arch = arch, .C = 3, .H = sizes[2], .W = sizes[3], .K = 2};
    thaw_model *models[2] = {NULL, NULL};
    if (thaw_model_new(&source, &models[0]) != THAW_OK ||
        thaw_model_new(&wanted, &models[1]) != THAW_OK)
        return fail(thaw_error_last()->message);
    thaw_param *in = thaw_graph_param(models[0]->graph, thaw_model_positions(models[0]));
    thaw_param *out = thaw_graph_param(models[1]->graph, thaw_model_positions(models[1]));
    const size_t read = (size_t)thaw_shape_count(&in->shape);
    const size_t written = (size_t)thaw_shape_count(&out->shape);
    if (fread(in->data, sizeof(float), read, stdin) != read)
        return fail("stdin is too short");
    thaw_model_resample_positions(models[1], &models[0]->spec, in->data, out->data);
    if (fwrite(out->data, sizeof(float), written, stdout) != written)
        return fail("cannot write");
    thaw_model_free(&models[0]);
    thaw_model_free(&models[1]);
    return 0;
}
