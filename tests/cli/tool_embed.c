/* tool_embed BACKBONE VOCAB T pairs|single <TEXTS >FLOATS: the features of each line (of pairs: two texts with a tab between) as float32, by the
 * tokenizer, the backbone file and the network of thaw, for a script that compares them with those of others.
 * thaw-test: modules=tensor,kern,h5,report,graph,data,model,store */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_impl.h"
#include "thaw/model.h"
#include "thaw/store.h"

enum { MOST_BYTES = 1 << 16 };

typedef struct embedder {
    thaw_tokenizer *words;
    thaw_backbone backbone;
    thaw_model *model;
    thaw_kern *kern;
    thaw_plan *plan;
} embedder;

static thaw_status open_model(embedder *e, const char *backbone, int64_t T, bool pairs)
{
    thaw_model_spec spec = {0};
    thaw_state weights = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_backbone_read(backbone, &e->backbone));
    THAW_TRY_TO(thaw_model_spec_load(&e->backbone.spec, &spec));
    spec.T = T;
    spec.segments = pairs;
    THAW_TRY_TO(thaw_model_new(&spec, &e->model));
    THAW_TRY_TO(thaw_graph_state(e->model->graph, THAW_BACKBONE, &weights));
    THAW_TRY_TO(thaw_state_copy(&weights, &e->backbone.tensors));
    THAW_TRY_TO(thaw_kern_open("auto", &e->kern));
    const thaw_plan_options options = {
        .batch = 1, .from = -1, .to = thaw_graph_features(e->model->graph), .keep = -1};
    THAW_TRY_TO(thaw_plan_new(e->model->graph, e->kern, &options, &e->plan));
done:
    thaw_state_clear(&weights);
    thaw_model_spec_clear(&spec);
    return status;
}

static thaw_status embed(embedder *e, char *line, int64_t T, bool pairs)
{
    static int32_t ids[1024];
    static float input[1024];
    thaw_tokens tokens = {.ids = ids, .types = pairs ? ids + T : NULL};
    char *second = pairs ? strchr(line, '\t') : NULL;
    if (second != NULL)
        *second++ = 0;
    THAW_TRY(thaw_tokenizer_encode(e->words, line, second, T, &tokens));
    for (int64_t i = 0; i < (pairs ? 2 : 1) * T; i++)
        input[i] = (float)ids[i];
    const int64_t id = 0;
    const thaw_run run = {.B = 1, .input = input, .sample_ids = &id};
    thaw_plan_forward(e->plan, &run);
    const float *features = thaw_plan_value(e->plan, thaw_graph_features(e->model->graph));
    const size_t D = (size_t)e->model->D;
    THAW_CHECK(fwrite(features, sizeof *features, D, stdout) == D, THAW_ERR_RESOURCE,
               "cannot write");
    return THAW_OK;
}

int main(int count, char **words)
{
    static char line[MOST_BYTES];
    embedder e = {0};
    if (count != 5)
        return 2;
    const int64_t T = strtol(words[3], NULL, 10);
    const bool pairs = strcmp(words[4], "pairs") == 0;
    thaw_status status = T >= 5 && T <= 512 ? THAW_OK : THAW_ERR_USAGE;
    if (status == THAW_OK)
        status = thaw_tokenizer_open(words[2], false, &e.words);
    if (status == THAW_OK)
        status = open_model(&e, words[1], T, pairs);
    while (status == THAW_OK && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        status = embed(&e, line, T, pairs);
    }
    if (status != THAW_OK)
        fprintf(stderr, "%s\n", thaw_error_last()->message);
    thaw_plan_free(&e.plan);
    thaw_kern_close(&e.kern);
    thaw_model_free(&e.model);
    thaw_backbone_clear(&e.backbone);
    thaw_tokenizer_free(&e.words);
    return thaw_status_exit_code(status);
}
