#include "adapt/adapt_impl.h"

#include <string.h>

#define MOST_CANDIDATES 512

/* Module path of a parameter: its name without the last part. */
static void module_of(const thaw_param *p, char out[256])
{
    const char *dot = strrchr(p->name, '.');
    bool fits = thaw_format(out, 256, "%.*s", dot ? (int)(dot - p->name) : 0, p->name);
    THAW_ASSERT(fits);
}

static bool pattern_names(const thaw_model *model, const char *pattern, const thaw_param *p)
{
    char module[256];
    int32_t first = 0;
    int32_t count = thaw_model_find_blocks(model, pattern, &first);
    if (count > 0)
        return p->block >= first && p->block < first + count;
    module_of(p, module);
    return thaw_match(pattern, p->name) || thaw_match(pattern, module);
}

thaw_status adapt_no_match(const thaw_model *model, const char *what, const char *pattern)
{
    const char *candidates[MOST_CANDIDATES];
    size_t count = 0;
    const thaw_graph *g = model->graph;
    for (int32_t i = 0; i <= model->blocks; i++) {
        if (count < MOST_CANDIDATES)
            candidates[count++] = thaw_graph_block_name(g, i);
    }
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++) {
        const thaw_node *node = thaw_graph_node(g, i);
        if (*node->name && node->block >= 0 && count < MOST_CANDIDATES)
            candidates[count++] = node->name;
    }
    const char *near = thaw_did_you_mean(pattern, candidates, count);
    return THAW_FAIL(
        THAW_ERR_CONFIG,
        "%s: \"%s\" names nothing in %s outside the head%s%s%s; blocks are stem, %s to %s", what,
        pattern, model->spec.arch, near ? ", did you mean \"" : "", near ? near : "",
        near ? "\"?" : "", thaw_graph_block_name(g, 1), thaw_graph_block_name(g, model->blocks));
}

static thaw_status mark_one(thaw_model *model, const char *pattern)
{
    bool found = false;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->adapter || p->block < 0 || p->role >= THAW_ROLE_BUFFER_MEAN ||
            !pattern_names(model, pattern, p))
            continue;
        p->trainable = true;
        found = true;
    }
    return found ? THAW_OK : adapt_no_match(model, "rung partial", pattern);
}

thaw_status adapt_mark_patterns(thaw_model *model, const char *patterns)
{
    const char *at = patterns;
    while (true) {
        char pattern[256];
        size_t length = strcspn(at, ",");
        bool fits = thaw_format(pattern, sizeof pattern, "%.*s", (int)length, at);
        THAW_ASSERT(fits);
        THAW_TRY(mark_one(model, pattern));
        if (at[length] == 0)
            return THAW_OK;
        at += length + 1;
    }
}
