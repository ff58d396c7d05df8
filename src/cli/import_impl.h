/* import_impl.h - weights of others, and the architecture that they fit: what `thaw backbone import` writes a backbone file from. */
#ifndef THAW_CLI_IMPORT_IMPL_H
#define THAW_CLI_IMPORT_IMPL_H

#include "cli/backbone_text_impl.h"
#include "thaw/store.h"

typedef struct import_weights {
    const char *path;
    thaw_weights *weights;
    size_t skip;      /* bytes of the wrappers in front of every name */
    char (*own)[128]; /* names as ours, where the origin has others; NULL */
    bool is_lite;     /* its names are those of efficientnet_lite_pytorch */
    bool is_text;     /* it has a table of tokens: */
    int pool;         /* of a vision transformer: thaw_pool_rule */
    cli_text text;    /* what cli_text_open found beside it */
} import_weights;

/* How a file fits an architecture. */
typedef struct import_fit {
    const thaw_model_arch *arch;
    thaw_model *model; /* outlined */
    int64_t *from;     /* per parameter of the graph: weight, or -1 */
    int64_t wanted;    /* parameters of the backbone */
    int64_t gaps;      /* those of them that are missing */
    int64_t left;      /* tensors without a use */
    bool head;
    int64_t H,
        W; /* of the pictures that the file's places are for, where the model's are others; 0 */
} import_fit;

/* *f is good for close in any case. */
THAW_NODISCARD thaw_status import_open(const char *path, import_weights *f);
void import_close(import_weights *f);
/* By name, or (NULL) the one that fits best. size: height and width; 0: the architecture's. *x is zeroed before, cleared later. */
THAW_NODISCARD thaw_status import_choose(const import_weights *f, const char *name, int64_t size,
                                         import_fit *x);
void import_clear_fit(import_fit *x);
/* THAW_ERR_INPUT names what is missing. */
THAW_NODISCARD thaw_status import_check_fit(const import_weights *f, const import_fit *x);
/* What it is, and a warning of what is left over. */
void import_say_fit(const import_weights *f, const import_fit *x);

#endif
