/* What an import of a text network needs beside its weights: vocabulary, case, pooling, and names as transformers writes them. */
#ifndef CLI_BACKBONE_TEXT_IMPL_H
#define CLI_BACKBONE_TEXT_IMPL_H

#include "cli/cli_impl.h"

/* What differs between the families of networks that read texts. */
typedef struct cli_text_kind {
    const char *family,
        *prefix; /* prefix: in front of the backbone's names where there is a head */
    const char *heads, *activation; /* keys of config.json */
    double epsilon;                 /* of the norms; no weight shows it */
    int64_t pad_id;
    const char *parts[2][2]; /* of a head: how names begin there and here; NULL: as they are */
    bool own_pooler;         /* the head reads what pool pooler gives, and nothing else */
    bool is_bpe;             /* the usual vocabulary */
    bool counts_places;      /* from behind the row of padding */
} cli_text_kind;

typedef struct cli_text {
    const cli_text_kind *kind; /* by cli_text_recognise */
    int64_t rows, width;       /* of the table of tokens */
    int64_t layers;            /* that names count */
    int64_t place_rows;        /* of the table of places; 0: there is none */
    bool has_pooler;
    const char *said_pool; /* by the weights' metadata, if thaw export wrote it; NULL */
    int pool;              /* thaw_pool_rule */
    bool cased;
    int64_t pieces;        /* of the vocabulary; 0: it is not known */
    const char *tokenizer; /* as it calls itself; NULL: it is not known */
    char vocabulary[THAW_DIGEST_HEX];
    int64_t heads; /* as config.json says; 0: it does not */
} cli_text;

/* The path of a file of this name in the weights' directory; false: there is none. */
bool cli_beside(const char *weights, const char *name, thaw_str *path);
/* A file in JSON beside the weights; *out stays as it is where there is none. */
THAW_NODISCARD thaw_status cli_read_beside(const char *weights, const char *name, thaw_json **out);
/* Leaves `out` where the file does not name the key, or names it as null. */
THAW_NODISCARD thaw_status cli_bool_beside(const thaw_json *json, const char *file,
                                           const char *weights, const char *key, bool *out);

/* Takes in the name and shape of one tensor after another: rows, has_pooler and kind. True: it is the table of tokens. */
bool cli_text_recognise(cli_text *text, const char *name, const thaw_shape *shape);
/* A tensor's name without what networks with a head put before it, with weight and bias for gamma and beta, and with our names of
 * a head's parts. */
bool cli_text_name(const cli_text *text, const char *theirs, char *out, size_t bytes);
/* Whether a head that is there reads the features that the backbone will give. */
bool cli_text_takes_head(const cli_text *text);

/* From the options and from the files beside the weights; rows and has_pooler are set. THAW_ERR_USAGE: options; THAW_ERR_INPUT: a file that is
 * damaged, a vocabulary larger than the table, a config.json of a network that is built in another way, or of one with other places. */
THAW_NODISCARD thaw_status cli_text_open(const cli_args *args, const char *weights, cli_text *text);
void cli_text_spec(const cli_text *text, const thaw_model_arch *arch, thaw_model_spec *spec);
/* Heads are in no tensor's shape. THAW_ERR_INPUT: config.json has others. */
THAW_NODISCARD thaw_status cli_text_check(const cli_text *text, const char *weights,
                                          const thaw_model_arch *arch);
/* NULL: it is not known. */
const char *cli_text_tokenizer(const cli_text *text);
/* The contract of the backbone, as one line of the log. */
void cli_text_say(const cli_text *text, const thaw_model_spec *spec);

#endif
