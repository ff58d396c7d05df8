#include "cli/import_impl.h"

#include <string.h>

/* How the pictures were normalised that weights of others were trained on: by the options, a file beside the weights, or as the origin of the
 * architecture usually does. */

static const double most_number = 1e9;

/* Comma-separated numbers, one a channel, of at least `least`; `what` names them in messages. NULL: none. */
static thaw_status read_numbers(const char *text, const char *what, double least, thaw_status blame,
                                import_numbers *out)
{
    *out = (import_numbers){0};
    for (const char *at = text; at != NULL;) {
        char word[64];
        const size_t length = strcspn(at, ",");
        double *to = &out->value[out->count < IMPORT_CHANNELS ? out->count : 0];
        const bool good = out->count < IMPORT_CHANNELS &&
                          thaw_format(word, sizeof word, "%.*s", (int)length, at) &&
                          thaw_parse_double(word, to) && *to >= least && *to <= most_number;
        THAW_CHECK(good, blame,
                   "%s %s: numbers are wanted, one a channel and at most %d, with commas between "
                   "them, from %g to %g%s",
                   what, text, IMPORT_CHANNELS, least, most_number, least > 0 ? ": above 0" : "");
        out->count++;
        at = at[length] == ',' ? at + length + 1 : NULL;
        at = at != NULL && *at == ' ' ? at + 1 : at;
    }
    return THAW_OK;
}

thaw_status import_read_norm(const cli_args *args, import_norm *out)
{
    THAW_TRY(
        read_numbers(cli_value(args, "mean"), "--mean", -most_number, THAW_ERR_USAGE, &out->mean));
    return read_numbers(cli_value(args, "std"), "--std", 1 / most_number, THAW_ERR_USAGE,
                        &out->std);
}

/* What thaw export wrote into the weights goes before what lies beside them. */
static thaw_status find_said(const import_weights *f, int64_t C, import_said *out)
{
    const char *mean = thaw_weights_word(f->weights, "input_mean");
    const char *std = thaw_weights_word(f->weights, "input_std");
    if (mean == NULL || std == NULL)
        return import_read_said(f->path, C, out);
    *out = (import_said){.source = "its metadata"};
    THAW_TRY(read_numbers(mean, "the metadata's input_mean", -most_number, THAW_ERR_INPUT,
                          &out->norm.mean));
    return read_numbers(std, "the metadata's input_std", 1 / most_number, THAW_ERR_INPUT,
                        &out->norm.std);
}

/* Fills in what a file says, or else what is usual, for three channels. */
static thaw_status complete(const char *what, const import_weights *f, const import_fit *x,
                            const char *source, const import_numbers *said, const double *usual,
                            import_numbers *out)
{
    const int64_t C = x->model->spec.C;
    if (out->count == 0 && source != NULL) {
        THAW_CHECK(
            said->count == C, THAW_ERR_INPUT,
            "%s: %s normalises %lld channels, but the weights take %lld; say --mean and --std",
            f->path, source, (long long)said->count, (long long)C);
        *out = *said;
    }
    if (out->count == 0) {
        THAW_CHECK(C == 3 && usual != NULL, THAW_ERR_USAGE,
                   "--%s is needed, %lld numbers: %s has no usual normalisation of %lld channels",
                   what, (long long)C, x->arch->name, (long long)C);
        memcpy(out->value, usual, 3 * sizeof *usual);
        out->count = 3;
    }
    THAW_CHECK(out->count == C, THAW_ERR_USAGE,
               "--%s: %lld numbers are wanted, one a channel, not %lld", what, (long long)C,
               (long long)out->count);
    return THAW_OK;
}

static void add_numbers(const char *what, const import_numbers *n, thaw_str *out)
{
    thaw_str_printf(out, " %s", what);
    for (int64_t c = 0; c < n->count; c++)
        thaw_str_printf(out, "%s %g", c > 0 ? "," : "", n->value[c]);
}

/* What was not given by the options. */
static void say_source(const import_said *said, const thaw_input_norm *norm, const import_fit *x,
                       const import_norm *given, const import_norm *taken)
{
    const bool mean = given->mean.count == 0;
    const bool std = given->std.count == 0;
    const char *words[] = {"mean/std", "--mean/--std change"};
    thaw_str text = {0};
    if (!std)
        words[0] = "mean", words[1] = "--mean changes";
    if (!mean)
        words[0] = "std", words[1] = "--std changes";
    if (said->source != NULL) {
        if (mean)
            add_numbers("mean", &taken->mean, &text);
        if (std)
            add_numbers(mean ? "and std" : "std", &taken->std, &text);
        THAW_LOG(THAW_INFO, "normalisation:%s, as %s says; %s it", thaw_str_c(&text), said->source,
                 words[1]);
    } else {
        THAW_LOG(THAW_INFO, "normalisation: %s %s, assumed for %s; %s it%s", norm->name, words[0],
                 x->arch->name, words[1],
                 strcmp(x->arch->family, "vit") == 0 ? " (DeiT and others take ImageNet's)" : "");
    }
    thaw_str_clear(&text);
}

thaw_status import_settle_norm(const import_weights *f, const import_fit *x, import_norm *n)
{
    const thaw_input_norm *norm = f->is_lite ? &thaw_model_lite_norm : x->arch->norm;
    const import_norm given = *n;
    const bool all = given.mean.count > 0 && given.std.count > 0;
    import_said said = {0};
    if (!all)
        THAW_TRY(find_said(f, x->model->spec.C, &said));
    THAW_TRY(complete("mean", f, x, said.source, &said.norm.mean, norm != NULL ? norm->mean : NULL,
                      &n->mean));
    THAW_TRY(complete("std", f, x, said.source, &said.norm.std, norm != NULL ? norm->std : NULL,
                      &n->std));
    if (!all)
        say_source(&said, norm, x, &given, n);
    if (all)
        thaw_copy(n->source, sizeof n->source, "--mean and --std");
    else if (said.source != NULL)
        thaw_copy(n->source, sizeof n->source, said.source);
    else
        thaw_format(n->source, sizeof n->source, "usual for %s", x->arch->name);
    if (said.pictures[0] != '\0')
        THAW_LOG(THAW_INFO, "pictures: as `thaw data import %s` makes them%s, %s says",
                 said.pictures, said.square ? " of square ones" : "", said.source);
    return THAW_OK;
}
