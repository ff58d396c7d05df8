/* Which source classes are kept, in which order and under which names. */
#include "data/import_impl.h"

#include <string.h>

/* Labels are class numbers, not identifiers: more than this is a file that is not a label file. */
#define CLASSES_MOST 1000000

static thaw_status check_source_labels(const thaw_job *job, int64_t *most)
{
    *most = -1;
    for (int64_t i = 0; i < job->N; i++) {
        int64_t label = job->source_labels[i];
        THAW_CHECK(label >= 0 && label < CLASSES_MOST, THAW_ERR_INPUT,
                   "labels: row %lld has the label %lld; labels must be in 0..%d", (long long)i,
                   (long long)label, CLASSES_MOST - 1);
        *most = label > *most ? label : *most;
    }
    return THAW_OK;
}

static int64_t find_name(const thaw_strings *names, const char *name)
{
    for (int64_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return i;
    return -1;
}

/* The new name of class k, borrowed or NULL: "5=Sandal" wins, then names by position, then names by source label. */
static const char *name_of(const thaw_job *job, int64_t k, bool by_position)
{
    const thaw_import *o = job->options;
    const char *equals = o->select.count ? strchr(o->select.items[k], '=') : NULL;
    if (equals)
        return equals + 1;
    int64_t at = by_position ? k : job->class_sources[k];
    const thaw_strings *names = o->names.count ? &o->names : &job->named.classes.list;
    return at < names->count ? names->items[at] : NULL;
}

/* "NAME" or "NAME=NEW" among the classes that the sources name. */
static thaw_status select_named(const thaw_job *job, const char *item, int64_t *label)
{
    const thaw_strings *names = &job->named.classes.list;
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    thaw_str_add_bytes(&name, item, strcspn(item, "="));
    *label = thaw_words_find(&job->named.classes, thaw_str_c(&name));
    const char *near = thaw_did_you_mean(thaw_str_c(&name), (const char *const *)names->items,
                                         (size_t)names->count);
    THAW_CHECK_TO(*label >= 0, THAW_ERR_USAGE,
                  "--select %s: the sources have no class \"%s\"%s%s; theirs are \"%s\"%s%s", item,
                  thaw_str_c(&name), near ? "; did you mean " : "", near ? near : "",
                  names->items[0], names->count > 1 ? ", ... " : "",
                  names->count > 1 ? names->items[names->count - 1] : "");
done:
    thaw_str_clear(&name);
    return status;
}

/* "5", "5=NEW", or a name of --names (*word). */
static thaw_status select_numbered(const thaw_job *job, const char *item, bool *word,
                                   int64_t *label)
{
    const thaw_strings *names = &job->options->names;
    const size_t length = strcspn(item, "=");
    char number[32] = "";
    if (length >= sizeof number || !thaw_format(number, sizeof number, "%.*s", (int)length, item) ||
        !thaw_parse_int(number, label)) {
        *word = true;
        *label = find_name(names, item);
        const char *near =
            thaw_did_you_mean(item, (const char *const *)names->items, (size_t)names->count);
        THAW_CHECK(*label >= 0, THAW_ERR_USAGE,
                   "--select %s: neither a label nor one of the names%s%s; give --names for all "
                   "source labels to select "
                   "by name",
                   item, near ? "; did you mean " : "", near ? near : "");
    }
    THAW_CHECK(*label >= 0 && *label < CLASSES_MOST, THAW_ERR_USAGE,
               "--select %s: the label must be in 0..%d", item, CLASSES_MOST - 1);
    return THAW_OK;
}

/* Source label of item k of select; *word says that it was given by a name of --names. */
static thaw_status select_item(thaw_job *job, int64_t k, bool *word)
{
    const char *item = job->options->select.items[k];
    int64_t label = -1;
    if (job->named.count > 0)
        THAW_TRY(select_named(job, item, &label));
    else
        THAW_TRY(select_numbered(job, item, word, &label));
    for (int64_t i = 0; i < k; i++)
        THAW_CHECK(job->class_sources[i] != label, THAW_ERR_USAGE,
                   "--select names label %lld twice", (long long)label);
    job->class_sources[k] = label;
    return THAW_OK;
}

static thaw_status choose(thaw_job *job, int64_t most, bool *by_position)
{
    const thaw_import *o = job->options;
    bool word = false;
    job->K = o->select.count             ? o->select.count
             : o->names.count > most + 1 ? o->names.count
                                         : most + 1;
    job->strata = job->K;
    THAW_TRY(thaw_alloc(&job->class_sources, job->K, sizeof *job->class_sources));
    THAW_TRY(thaw_alloc(&job->class_names, job->K, sizeof *job->class_names));
    for (int64_t k = 0; k < job->K; k++) {
        job->class_sources[k] = k;
        if (o->select.count)
            THAW_TRY(select_item(job, k, &word));
    }
    *by_position = o->names.count == job->K && !word;
    return THAW_OK;
}

static thaw_status name_classes(thaw_job *job, bool by_position)
{
    for (int64_t k = 0; k < job->K; k++) {
        char number[32];
        thaw_format(number, sizeof number, "%lld", (long long)job->class_sources[k]);
        const char *name = name_of(job, k, by_position);
        THAW_CHECK(name || job->options->names.count == 0, THAW_ERR_USAGE,
                   "--names has %lld names, but source label %s needs one; give one for each kept "
                   "class (%lld) or "
                   "for each source label",
                   (long long)job->options->names.count, number, (long long)job->K);
        name = name ? name : number;
        THAW_CHECK(*name && strlen(name) <= 200, THAW_ERR_USAGE,
                   "class %lld has the name \"%s\"; use 1 to 200 bytes", (long long)k, name);
        THAW_CHECK(thaw_text_is_plain(name), THAW_ERR_USAGE,
                   "the name of class %lld is not UTF-8, or has a newline or another control "
                   "character",
                   (long long)k);
        for (int64_t i = 0; i < k && job->K <= 10000; i++)
            THAW_CHECK(strcmp(job->class_names[i], name) != 0, THAW_ERR_USAGE,
                       "two classes have the name \"%s\"", name);
        THAW_TRY(thaw_strdup(&job->class_names[k], name));
    }
    return THAW_OK;
}

thaw_status thaw_job_classes(thaw_job *job)
{
    int64_t most = 0;
    bool by_position = false;
    int32_t *map = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(check_source_labels(job, &most));
    THAW_TRY_TO(choose(job, most, &by_position));
    THAW_TRY_TO(name_classes(job, by_position));
    THAW_TRY_TO(thaw_alloc(&map, CLASSES_MOST, sizeof *map));
    for (int64_t i = 0; i < CLASSES_MOST; i++)
        map[i] = -1;
    for (int64_t k = 0; k < job->K; k++)
        map[job->class_sources[k]] = (int32_t)k;
    THAW_TRY_TO(thaw_alloc(&job->labels, job->N, sizeof *job->labels));
    for (int64_t i = 0; i < job->N; i++)
        job->labels[i] = map[job->source_labels[i]];
done:
    thaw_free(&map);
    return status;
}
