#include "data/import_impl.h"

#include <string.h>

#include "data/wordpiece_text_impl.h"

static const char *const tasks[] = {"classification", "multi_label", "regression", NULL};
static const char *const layouts[] = {"chw", "hwc", NULL};
static const char *const fits[] = {"crop", "squash", NULL};
static const char *const filters[] = {"bilinear", "bicubic", NULL};
static const char *const quotes[] = {"csv", "none", NULL};
static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const colours[] = {"rgb", "grey", NULL};

#define LIST(member, doc)                                                                          \
    {                                                                                              \
#member, THAW_FIELD_STRINGS, THAW_FIELD(thaw_import, member, thaw_strings), "", 0, 0,      \
            NULL, NULL, doc                                                                        \
    }

#define COLUMN(name, member, doc)                                                                  \
    {                                                                                              \
        name, THAW_FIELD_STRING, THAW_FIELD(thaw_import, member, char *), "", 0, 0, NULL, NULL,    \
            doc                                                                                    \
    }

const thaw_field thaw_import_fields[] = {
    {"format", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, format, int), "auto", 0, 0,
     thaw_import_format_names, NULL,
     "Format of the source files; auto looks at their first bytes."},
    {"task", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, task, int), "classification", 0, 0, tasks,
     NULL,
     "What is predicted: one class, which of several labels hold (y: 0 and 1, (N, K)), or numbers "
     "(y: (N, K))."},
    LIST(images, "Files with the samples; for hdf5 FILE:DATASET."),
    {"texts", THAW_FIELD_STRINGS, THAW_FIELD(thaw_import, images, thaw_strings), "", 0, 0, NULL,
     NULL, "Tables with the texts; another name of images."},
    LIST(labels, "Files with the labels, one for each of images."),
    LIST(clusters, "Files with cluster numbers (patient, site, ...), one for each of images."),
    LIST(select, "Classes to keep, in the order of their new labels: 5, 5=Sandal, or a name."),
    LIST(names, "Class names: one a kept class, or one a source label."),
    LIST(splits, "Disjoint splits, NAME=AMOUNT[@SOURCE]; amounts: 50 (of every class; in all "
                 "for other tasks), 10%, 500total, rest."),
    LIST(slices, "Named subsets, NAME=CLASS[+CLASS], NAME=source:N or NAME=mask:FILE."),
    {"layout", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, layout, int), "chw", 0, 0, layouts, NULL,
     "Order of channels, height and width in the source files."},
    {"mean", THAW_FIELD_DOUBLES, THAW_FIELD(thaw_import, mean, thaw_doubles), "", 0, 0, NULL, NULL,
     "Mean per channel for normalisation; empty: measured on train."},
    {"std", THAW_FIELD_DOUBLES, THAW_FIELD(thaw_import, std, thaw_doubles), "", 1e-12, 1e12, NULL,
     NULL, "Standard deviation per channel for normalisation; empty: measured on train."},
    {"origin", THAW_FIELD_STRING, THAW_FIELD(thaw_import, origin, char *), "", 0, 0, NULL, NULL,
     "Where the data are from; kept in the file."},
    {"licence", THAW_FIELD_STRING, THAW_FIELD(thaw_import, licence, char *), "", 0, 0, NULL, NULL,
     "Licence of the data; kept in the file."},
    {"seed", THAW_FIELD_INT, THAW_FIELD(thaw_import, seed, int64_t), "1", 0, 9e18, NULL, NULL,
     "Seed of the draw of splits."},
    {"output", THAW_FIELD_STRING, THAW_FIELD(thaw_import, output, char *), NULL, 0, 0, NULL, NULL,
     "Dataset file to write."},
    {"size", THAW_FIELD_INT, THAW_FIELD(thaw_import, size, int64_t), "0", 1, 4096, NULL, NULL,
     "Side of the pictures in pixels."},
    {"shorter", THAW_FIELD_INT, THAW_FIELD(thaw_import, shorter, int64_t), "0", 1, 16384, NULL,
     NULL, "Shorter side in pixels before the middle is cut out."},
    {"fit", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, fit, int), "crop", 0, 0, fits, NULL,
     "How a picture becomes a square: crop cuts its middle out, squash distorts it."},
    {"filter", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, filter, int), "bilinear", 0, 0, filters,
     NULL, "Interpolation, antialiased."},
    {"colours", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, colours, int), "rgb", 0, 0, colours, NULL,
     "Channels of a picture: three, or one of grey."},
    {"vocab", THAW_FIELD_STRING, THAW_FIELD(thaw_import, vocab, char *), "", 0, 0, NULL, NULL,
     "Vocabulary of the texts' tokens: vocab.txt, vocab.json or tokenizer.json."},
    {"cased", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, cased, int), "no", 0, 0, no_yes, NULL,
     "Letters keep case and accents."},
    {"tokens", THAW_FIELD_INT, THAW_FIELD(thaw_import, tokens, int64_t), "128", 3, 16384, NULL,
     NULL, "Tokens of a text; longer ones are cut."},
    {"quotes", THAW_FIELD_ENUM, THAW_FIELD(thaw_import, quotes, int), "csv", 0, 0, quotes, NULL,
     "Whether fields may stand in double quotes, or quotes are part of the texts."},
    COLUMN("text", text, "Column of the text."),
    COLUMN("text-pair", text_pair, "Column of a second text."),
    LIST(label, "Column of the class or of the labels; or columns of labels or targets, one each."),
    COLUMN("separator", separator, "What stands between labels in one column."),
    COLUMN("split", split, "Column of the split."),
    COLUMN("slice", slice, "Column of the slices, with ; between them."),
    COLUMN("cluster", cluster, "Column of the cluster."),
    {"broken", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_import, max_broken, double), "0", 0, 1, NULL,
     NULL, "Share of files that may be unreadable and are left out."},
    {0},
};
_Static_assert(sizeof thaw_import_fields / sizeof *thaw_import_fields <= 64,
               "thaw_import.given has a bit for each");

void thaw_import_init(thaw_import *import)
{
    *import = (thaw_import){.seed = 1, .tokens = 128};
}

static thaw_status append_string(thaw_strings *list, const char *text, size_t length)
{
    THAW_TRY(thaw_realloc(&list->items, list->count, list->count + 1, sizeof *list->items));
    thaw_str item = {0};
    thaw_str_add_bytes(&item, text, length);
    thaw_status status = thaw_strdup(&list->items[list->count], thaw_str_c(&item));
    thaw_str_clear(&item);
    if (status == THAW_OK)
        list->count++;
    return status;
}

static thaw_status set_double(const thaw_field *field, double *member, const char *text)
{
    THAW_CHECK(thaw_parse_double(text, member) && *member - *member == 0, THAW_ERR_USAGE,
               "--%s \"%s\": not a number", field->name, text);
    THAW_CHECK(field->least == field->most || (*member >= field->least && *member <= field->most),
               THAW_ERR_USAGE, "--%s %s: must be at least %g and at most %g", field->name, text,
               field->least, field->most);
    return THAW_OK;
}

static thaw_status append_double(const thaw_field *field, thaw_doubles *list, const char *text,
                                 size_t length)
{
    thaw_str item = {0};
    thaw_str_add_bytes(&item, text, length);
    double value = 0;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(set_double(field, &value, thaw_str_c(&item)));
    THAW_TRY_TO(thaw_realloc(&list->items, list->count, list->count + 1, sizeof *list->items));
    list->items[list->count++] = value;
done:
    thaw_str_clear(&item);
    return status;
}

/* An item in quotes, as a CSV file has fields: what is between them, commas too, and a quote for two. *text goes to what follows. */
static thaw_status append_quoted(const thaw_field *field, thaw_strings *list, const char **text)
{
    thaw_str item = {0};
    thaw_status status;
    const char *at = *text + 1;
    for (; *at != '\0' && (*at != '"' || at[1] == '"'); at++) {
        at += *at == '"';
        thaw_str_add_bytes(&item, at, 1);
    }
    THAW_CHECK_TO(*at == '"' && (at[1] == ',' || at[1] == '\0') && item.length > 0, THAW_ERR_USAGE,
                  "--%s %s: an item in quotes ends with a quote and is not empty; two quotes are "
                  "one of the name",
                  field->name, *text);
    status = append_string(list, thaw_str_c(&item), item.length);
    *text = at + 1;
done:
    thaw_str_clear(&item);
    return status;
}

static thaw_status append_list(const thaw_field *field, void *member, const char *text)
{
    for (;;) {
        if (field->type == THAW_FIELD_STRINGS && *text == '"') {
            THAW_TRY(append_quoted(field, member, &text));
            if (*text == '\0')
                return THAW_OK;
            text++;
            continue;
        }
        size_t length = strcspn(text, ",");
        THAW_CHECK(length > 0, THAW_ERR_USAGE, "--%s: an item of the list is empty", field->name);
        if (field->type == THAW_FIELD_STRINGS)
            THAW_TRY(append_string(member, text, length));
        else
            THAW_TRY(append_double(field, member, text, length));
        if (!text[length])
            return THAW_OK;
        text += length + 1;
    }
}

static thaw_status set_int(const thaw_field *field, int64_t *member, const char *text)
{
    THAW_CHECK(thaw_parse_int(text, member), THAW_ERR_USAGE, "--%s \"%s\": not a whole number",
               field->name, text);
    THAW_CHECK((double)*member >= field->least && (double)*member <= field->most, THAW_ERR_USAGE,
               "--%s %s: must be at least %g and at most %g", field->name, text, field->least,
               field->most);
    return THAW_OK;
}

static thaw_status set_enum(const thaw_field *field, int *member, const char *text)
{
    size_t count = 0;
    thaw_str words = {0};
    for (; field->choices[count]; count++) {
        if (strcmp(field->choices[count], text) == 0) {
            *member = (int)count;
            thaw_str_clear(&words);
            return THAW_OK;
        }
        thaw_str_printf(&words, "%s%s", count ? ", " : "", field->choices[count]);
    }
    thaw_status status = THAW_FAIL(THAW_ERR_USAGE, "--%s %s: must be one of %s", field->name, text,
                                   thaw_str_c(&words));
    thaw_str_clear(&words);
    return status;
}

static thaw_status set_string(char **member, const char *text)
{
    thaw_free(member);
    return thaw_strdup(member, text);
}

static thaw_status unknown_field(const char *name)
{
    const char *known[64];
    size_t count = 0;
    for (const thaw_field *field = thaw_import_fields; field->name; field++)
        known[count++] = field->name;
    const char *near = thaw_did_you_mean(name, known, count);
    return THAW_FAIL(THAW_ERR_USAGE, "data import has no option --%s%s%s", name,
                     near ? "; did you mean --" : "", near ? near : "");
}

thaw_status thaw_import_set(thaw_import *import, const char *name, const char *text)
{
    const thaw_field *field = thaw_import_fields;
    while (field->name && strcmp(field->name, name) != 0)
        field++;
    if (!field->name)
        return unknown_field(name);
    void *member = (char *)import + field->offset;
    import->given |= UINT64_C(1) << (field - thaw_import_fields);
    switch (field->type) {
    case THAW_FIELD_INT:
        return set_int(field, member, text);
    case THAW_FIELD_DOUBLE:
        return set_double(field, member, text);
    case THAW_FIELD_ENUM:
        return set_enum(field, member, text);
    case THAW_FIELD_STRING:
        return set_string(member, text);
    default:
        return append_list(field, member, text);
    }
}

bool thaw_import_given(const thaw_import *import, const char *name)
{
    const thaw_field *field = thaw_import_fields;
    while (field->name && strcmp(field->name, name) != 0)
        field++;
    THAW_ASSERT(field->name);
    return import->given >> (field - thaw_import_fields) & 1;
}

static void clear_strings(thaw_strings *list)
{
    for (int64_t i = 0; i < list->count; i++)
        thaw_free(&list->items[i]);
    thaw_free(&list->items);
    list->count = 0;
}

void thaw_import_clear(thaw_import *import)
{
    for (const thaw_field *field = thaw_import_fields; field->name; field++) {
        void *member = (char *)import + field->offset;
        if (field->type == THAW_FIELD_STRINGS)
            clear_strings(member);
        else if (field->type == THAW_FIELD_STRING)
            thaw_free(member);
    }
    thaw_free(&import->mean.items);
    thaw_free(&import->std.items);
    thaw_import_init(import);
}

bool thaw_name_is_good(const char *name)
{
    size_t length = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return length > 0 && length <= 100 && good == length && name[0] != '.';
}

bool thaw_text_is_plain(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    return thaw_utf8_check(text, strlen(text)) < 0;
}

thaw_status thaw_import_check_name(const char *what, const char *name)
{
    THAW_CHECK(thaw_name_is_good(name), THAW_ERR_USAGE,
               "%s name \"%s\": use letters, digits, - _ . and at most 100 of them", what, name);
    return THAW_OK;
}
