/* parity.h - reads what tools/gen-golden writes, text summaries or whole tensors, and keeps the worst difference per section. */
#ifndef TESTS_MODEL_PARITY_H
#define TESTS_MODEL_PARITY_H

#include "thaw/model.h"

#include "golden_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PARITY_SECTIONS 12
#define PARITY_TOKENS   30522
#define PARITY_RECORDS  256
#define PARITY_ENTRIES  4

/* A record: either 3 + PARITY_ENTRIES numbers about a tensor, or all its values. */
typedef struct parity_record {
    char section[24], name[96];
    int64_t count;
    double sum, norm, most, entries[PARITY_ENTRIES];
    float *values; /* NULL in text files; freed by parity_next and parity_close */
} parity_record;

typedef struct parity_section {
    char name[24];
    double worst;
    double difference, size; /* sums of squares over all tensors whose values are known */
    char where[96];
    double errors[PARITY_RECORDS];
    int records;
} parity_section;

typedef struct parity_file {
    FILE *file;
    bool binary;
    char header[512]; /* the line that describes the case */
    parity_record record;
    parity_section sections[PARITY_SECTIONS];
    int section_count;
} parity_file;

static inline bool parity_open(parity_file *f, const char *path, bool binary)
{
    memset(f, 0, sizeof *f);
    f->binary = binary;
    f->file = fopen(path, "rb");
    while (f->file && fgets(f->header, sizeof f->header, f->file)) {
        if (f->header[0] != '#')
            return true;
    }
    return false;
}

static inline void parity_close(parity_file *f)
{
    thaw_free(&f->record.values);
    if (f->file)
        (void)fclose(f->file);
    f->file = NULL;
}

static inline bool parity_values(parity_file *f)
{
    parity_record *r = &f->record;
    if (!f->binary)
        return fscanf(f->file, "%lf %lf %lf %lf %lf %lf %lf", &r->sum, &r->norm, &r->most,
                      &r->entries[0], &r->entries[1], &r->entries[2], &r->entries[3]) == 7;
    return fgetc(f->file) == '\n' && thaw_alloc(&r->values, r->count, sizeof(float)) == THAW_OK &&
           fread(r->values, sizeof(float), (size_t)r->count, f->file) == (size_t)r->count;
}

/* False at the end of the file; *good is false when it ends in the middle of a record. */
static inline bool parity_next(parity_file *f, bool *good)
{
    parity_record *r = &f->record;
    long long count = 0;
    thaw_free(&r->values);
    int fields = fscanf(f->file, "%23s %95s %lld", r->section, r->name, &count);
    r->count = count;
    *good = fields == EOF || (fields == 3 && parity_values(f));
    return *good && fields == 3;
}

/* Relative to the tensor's largest value (entries), its norm (norm), and the largest sum that norm allows (sum): each
 * is at most the relative error of the tensor. */
static inline double parity_error(const parity_record *r, const float *mine)
{
    double sum = 0;
    double squares = 0;
    double worst = 0;
    double most = r->most;
    for (int64_t i = 0; r->values && i < r->count; i++)
        most = fmax(most, fabs((double)r->values[i]));
    double scale = most > 0 ? most : 1;
    for (int64_t i = 0; i < r->count; i++) {
        sum += mine[i];
        squares += (double)mine[i] * mine[i];
        if (r->values)
            worst = fmax(worst, fabs((double)mine[i] - r->values[i]) / scale);
        if (!isfinite(mine[i]))
            return INFINITY;
    }
    if (r->values)
        return worst;
    double norm = r->norm > 0 ? r->norm : 1;
    worst = fmax(fabs(sqrt(squares) - r->norm) / norm,
                 fabs(sum - r->sum) / (norm * sqrt((double)r->count)));
    for (int k = 0; k < PARITY_ENTRIES; k++)
        worst = fmax(worst, fabs(mine[k * r->count / PARITY_ENTRIES] - r->entries[k]) / scale);
    return worst;
}

static inline void parity_compare(parity_file *f, const float *mine)
{
    int i = 0;
    while (i < f->section_count && strcmp(f->sections[i].name, f->record.section) != 0)
        i++;
    parity_section *s = &f->sections[i];
    if (i == f->section_count) {
        memcpy(s->name, f->record.section, sizeof s->name);
        f->section_count++;
    }
    double error = parity_error(&f->record, mine);
    for (int64_t k = 0; f->record.values && k < f->record.count; k++) {
        s->difference += pow((double)mine[k] - f->record.values[k], 2);
        s->size += pow(f->record.values[k], 2);
    }
    if (error >= s->worst) {
        s->worst = error;
        memcpy(s->where, f->record.name, sizeof s->where);
    }
    THAW_ASSERT(s->records < PARITY_RECORDS);
    s->errors[s->records++] = error;
}

static inline const parity_section *parity_result(const parity_file *f, const char *name)
{
    for (int i = 0; i < f->section_count; i++) {
        if (strcmp(f->sections[i].name, name) == 0)
            return &f->sections[i];
    }
    return NULL;
}

/* The error that half of a section's tensors stay below. */
static inline double parity_median(const parity_section *s)
{
    for (int i = 0; i < s->records; i++) {
        int below = 0;
        for (int j = 0; j < s->records; j++)
            below += s->errors[j] < s->errors[i] || (s->errors[j] == s->errors[i] && j < i);
        if (below == s->records / 2)
            return s->errors[i];
    }
    return INFINITY;
}

static inline void parity_fill(thaw_param *p)
{
    int64_t count = thaw_shape_count(&p->shape);
    int64_t fan_in = p->shape.ndim > 1 ? count / p->shape.dim[0] : 0;
    double scale = strstr(p->name, "lora_") || strstr(p->name, "adapter_") ? 0.25 : 1.0;
    bool factor = thaw_ends_with(p->name, "lora_magnitude_vector") ||
                  thaw_ends_with(p->name, "ia3_l") || thaw_ends_with(p->name, "ssf_scale");
    bool branch_end =
        thaw_starts_with(p->name, "layer") &&
        (thaw_ends_with(p->name, "bn2.weight") || thaw_ends_with(p->name, "bn3.weight"));
    for (int64_t i = 0; i < count; i++) {
        double u = golden_uniform(p->name, (uint32_t)i);
        double x = 0.2 * (2 * u - 1);
        if (thaw_ends_with(p->name, "running_var"))
            x = 1 + 0.5 * u;
        else if (factor)
            x = 1 + 0.2 * (2 * u - 1);
        else if (fan_in > 0)
            x = scale * (2 * u - 1) * sqrt(3.0 / (double)fan_in);
        else if (thaw_ends_with(p->name, "weight"))
            x = (1 + 0.2 * (2 * u - 1)) * (branch_end ? 0.25 : 1.0);
        p->data[i] = (float)x;
    }
}

#endif
