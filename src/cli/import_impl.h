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

/* One number a channel; count 0: not given. */
enum { IMPORT_CHANNELS = 64 };
typedef struct import_numbers {
    double value[IMPORT_CHANNELS];
    int64_t count;
} import_numbers;
typedef struct import_norm {
    import_numbers mean, std; /* of inputs in 0..1 */
    char source[80];          /* where import_settle_norm has them from, for --json */
} import_norm;

/* What --mean and --std give. */
THAW_NODISCARD thaw_status import_read_norm(const cli_args *args, import_norm *out);
/* Fills in what was not given, from a file beside the weights or else as the origin of the architecture does, and says from where: nothing in
 * the weights shows when it is wrong. THAW_ERR_INPUT: a file that is damaged, or asks for what is not built; THAW_ERR_USAGE: nothing tells,
 * or another number of channels. */
THAW_NODISCARD thaw_status import_settle_norm(const import_weights *f, const import_fit *x,
                                              import_norm *norm);

/* What a file beside the weights says of the pictures that they were trained on. pictures: the options by which thaw data import makes them so;
 * "" where it cannot, or nothing is said. square: of square ones only; it keeps the shape of others, which are squashed there. */
typedef struct import_said {
    const char *source; /* of the normalisation, for messages; NULL: nothing tells it */
    import_norm norm;
    char pictures[80];
    bool square;
} import_said;
/* preprocessor_config.json of transformers, else pretrained_cfg in config.json of timm; C channels where the file says that nothing is
 * normalised. THAW_ERR_INPUT as above. */
THAW_NODISCARD thaw_status import_read_said(const char *weights, int64_t C, import_said *out);
/* The licence that a model card beside the weights names, and a line of the log that says so; "" where none does. THAW_ERR_INPUT: a card that
 * cannot be read. */
THAW_NODISCARD thaw_status import_read_licence(const char *weights, thaw_str *out);

#endif
