/* What an import of a text network needs beside its weights: vocabulary, case, pooling, and names as transformers writes them. */
#ifndef CLI_BACKBONE_TEXT_IMPL_H
#define CLI_BACKBONE_TEXT_IMPL_H

#include "cli/cli_impl.h"

typedef struct cli_text {
    int64_t rows; /* of the table of tokens */
    bool has_pooler;
    const char *said_pool; /* by the weights' metadata, if thaw export wrote it; NULL */
    int pool;              /* thaw_pool_rule */
    bool cased;
    int64_t pieces;        /* of the vocabulary; 0: it is not known */
    const char *tokenizer; /* as it calls itself; NULL: it is not known */
    char vocabulary[THAW_DIGEST_HEX];
    int64_t heads; /* as config.json says; 0: it does not */
} cli_text;

/* A tensor's name without the "bert." that networks with a head put before it, and with weight and bias for gamma and beta. */
bool cli_text_name(const char *theirs, char *out, size_t bytes);

/* From the options and from the files beside the weights; rows and has_pooler are set. THAW_ERR_USAGE: options; THAW_ERR_INPUT: a file that is
 * damaged, a vocabulary larger than the table, a config.json of a network that is built in another way. */
THAW_NODISCARD thaw_status cli_text_open(const cli_args *args, const char *weights, cli_text *text);
void cli_text_spec(const cli_text *text, const thaw_model_arch *arch, thaw_model_spec *spec);
/* Heads are in no tensor's shape. THAW_ERR_INPUT: config.json has others. */
THAW_NODISCARD thaw_status cli_text_check(const cli_text *text, const char *weights,
                                          const thaw_model_arch *arch);
const char *cli_text_tokenizer(const cli_text *text);
/* The contract of the backbone, as one line of the log. */
void cli_text_say(const cli_text *text, const thaw_model_spec *spec);

#endif
