/* Slices of an import: who belongs to a named subset. */
#include "data/import_impl.h"

#include <string.h>

typedef enum slice_kind { SLICE_CLASSES, SLICE_SOURCE, SLICE_MASK } slice_kind;

static thaw_status split_expression(const char *text, thaw_str *name, const char **value,
                                    slice_kind *kind)
{
    const char *equals = strchr(text, '=');
    THAW_CHECK(equals && equals[1], THAW_ERR_USAGE,
               "--slices \"%s\": write NAME=CLASS[+CLASS], NAME=source:N or NAME=mask:FILE", text);
    thaw_str_add_bytes(name, text, (size_t)(equals - text));
    THAW_TRY(thaw_import_check_name("--slices: slice", thaw_str_c(name)));
    *value = equals + 1;
    *kind = SLICE_CLASSES;
    if (thaw_starts_with(*value, "source:")) {
        *kind = SLICE_SOURCE;
        *value += 7;
    } else if (thaw_starts_with(*value, "mask:")) {
        *kind = SLICE_MASK;
        *value += 5;
    } else if (thaw_starts_with(*value, "class:")) {
        *value += 6;
    }
    return THAW_OK;
}

/* A name with a plus in it is found before the text is cut at its pluses. */
static int64_t match_class(const thaw_job *job, const char *text, size_t length)
{
    for (int64_t k = 0; k < job->K; k++)
        if (strlen(job->class_names[k]) == length && memcmp(job->class_names[k], text, length) == 0)
            return k;
    return -1;
}

/* Marks the classes in wanted (K); NULL only checks. */
static thaw_status parse_classes(const thaw_job *job, const char *text, const char *value,
                                 bool *wanted)
{
    THAW_CHECK(job->task != THAW_TASK_REGRESSION, THAW_ERR_USAGE,
               "--slices \"%s\": a regression has no classes; use source:N or mask:FILE", text);
    while (*value) {
        size_t length = strlen(value);
        int64_t k = match_class(job, value, length);
        if (k < 0) {
            length = strcspn(value, "+");
            k = match_class(job, value, length);
        }
        THAW_CHECK(k >= 0, THAW_ERR_USAGE,
                   "--slices \"%s\": there is no class \"%.*s\"; the classes are \"%s\"%s%s%s%s",
                   text, (int)length, value, job->class_names[0], job->K > 1 ? ", \"" : "",
                   job->K > 1 ? job->class_names[1] : "", job->K > 1 ? "\"" : "",
                   job->K > 2 ? ", ..." : "");
        if (wanted)
            wanted[k] = true;
        value += length;
        value += *value == '+';
    }
    return THAW_OK;
}

static thaw_status parse_source(const thaw_job *job, const char *text, const char *value,
                                int64_t *source)
{
    THAW_CHECK(thaw_parse_int(value, source) && *source >= 1 && *source <= job->source_count,
               THAW_ERR_USAGE, "--slices \"%s\": the source must be in 1..%lld", text,
               (long long)job->source_count);
    return THAW_OK;
}

static bool belongs(const thaw_job *job, const bool *wanted, int64_t i)
{
    bool found = false;
    if (!job->targets)
        return job->labels[i] >= 0 && wanted[job->labels[i]];
    for (int64_t k = 0; k < job->K && !found; k++)
        found = wanted[k] && job->targets[i * job->K + k] > 0.5f;
    return found;
}

static thaw_status mask_by_class(thaw_job *job, const char *text, const char *value)
{
    bool *wanted = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&wanted, job->K, sizeof *wanted));
    THAW_TRY_TO(parse_classes(job, text, value, wanted));
    for (int64_t i = 0; i < job->N; i++)
        job->mask[i] = belongs(job, wanted, i);
done:
    thaw_free(&wanted);
    return status;
}

static thaw_status mask_by_file(thaw_job *job, const char *text, const char *file)
{
    const thaw_importer *kind = NULL;
    thaw_array array = {0};
    int64_t *values = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_importer_find(0, file, &kind));
    THAW_TRY_TO(thaw_array_open(kind, file, THAW_ROLE_MASK, &array));
    THAW_CHECK_TO(array.shape.dim[0] == job->N, THAW_ERR_INPUT,
                  "%s: %lld rows, but the sources of slice \"%s\" have %lld", file,
                  (long long)array.shape.dim[0], text, (long long)job->N);
    THAW_TRY_TO(thaw_alloc(&values, job->N, sizeof *values));
    THAW_TRY_TO(thaw_array_integers(&array, values));
    for (int64_t i = 0; i < job->N; i++)
        job->mask[i] = values[i] != 0;
done:
    thaw_free(&values);
    thaw_array_close(&array);
    return status;
}

thaw_status thaw_job_slice(thaw_job *job, int64_t i, char **name)
{
    const char *text = job->options->slices.items[i];
    const char *value = NULL;
    slice_kind kind = SLICE_CLASSES;
    thaw_str word = {0};
    int64_t source = 0;
    thaw_status status = THAW_OK;
    if (!job->mask)
        THAW_TRY_TO(thaw_alloc(&job->mask, job->N, 1));
    THAW_TRY_TO(split_expression(text, &word, &value, &kind));
    if (kind == SLICE_CLASSES) {
        THAW_TRY_TO(mask_by_class(job, text, value));
    } else if (kind == SLICE_MASK) {
        THAW_TRY_TO(mask_by_file(job, text, value));
    } else {
        THAW_TRY_TO(parse_source(job, text, value, &source));
        const thaw_source *from = &job->sources[source - 1];
        for (int64_t r = 0; r < job->N; r++)
            job->mask[r] = r >= from->first && r < from->first + from->count;
    }
    THAW_TRY_TO(thaw_strdup(name, thaw_str_c(&word)));
done:
    thaw_str_clear(&word);
    return status;
}

static thaw_status check_slice(const thaw_job *job, int64_t i, thaw_str *name)
{
    const char *text = job->options->slices.items[i];
    const char *value = NULL;
    slice_kind kind = SLICE_CLASSES;
    int64_t source = 0;
    THAW_TRY(split_expression(text, name, &value, &kind));
    if (kind == SLICE_CLASSES)
        THAW_TRY(parse_classes(job, text, value, NULL));
    if (kind == SLICE_SOURCE)
        THAW_TRY(parse_source(job, text, value, &source));
    return THAW_OK;
}

thaw_status thaw_slices_check(const thaw_strings *slices)
{
    thaw_words names = {0};
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < slices->count; i++) {
        const char *value = NULL;
        slice_kind kind = SLICE_CLASSES;
        int64_t number = 0;
        thaw_str_reset(&name);
        THAW_TRY_TO(split_expression(slices->items[i], &name, &value, &kind));
        THAW_TRY_TO(thaw_words_add(&names, thaw_str_c(&name), &number));
        THAW_CHECK_TO(number == i, THAW_ERR_USAGE, "--slices names \"%s\" twice",
                      thaw_str_c(&name));
    }
done:
    thaw_str_clear(&name);
    thaw_words_clear(&names);
    return status;
}

thaw_status thaw_job_check_slices(const thaw_job *job)
{
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < job->options->slices.count; i++) {
        thaw_str_reset(&name);
        THAW_TRY_TO(check_slice(job, i, &name));
    }
done:
    thaw_str_clear(&name);
    return status;
}
