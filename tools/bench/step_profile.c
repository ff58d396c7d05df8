#include "step_profile.h"

#include <stdio.h>
#include <string.h>

static step_profile_row *find(step_profile *profile, const char *label)
{
    for (int32_t i = 0; i < profile->row_count; i++)
        if (strcmp(profile->rows[i].label, label) == 0)
            return &profile->rows[i];
    THAW_ASSERT(profile->row_count < STEP_PROFILE_ROWS);
    step_profile_row *row = &profile->rows[profile->row_count++];
    (void)thaw_copy(row->label, sizeof row->label, label);
    return row;
}

static void print_shape(char *out, size_t bytes, const thaw_shape *shape)
{
    size_t used = 0;
    out[0] = '\0';
    for (int32_t i = 0; i < shape->ndim && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%lld", i == 0 ? "" : "x",
                                 (long long)shape->dim[i]);
}

static void after(void *context, const thaw_watched *what)
{
    char in[48];
    char out[48];
    char label[160];
    print_shape(in, sizeof in, &what->in);
    print_shape(out, sizeof out, &what->out);
    (void)snprintf(label, sizeof label, "%s/%s %s>%s %s", what->kind,
                   what->backward ? "backward" : "forward", in, out,
                   what->algorithm[0] == '\0' ? "-" : what->algorithm);
    step_profile_row *row = find(context, label);
    row->count++;
    row->seconds += what->seconds;
    row->flops += what->flops;
    row->bytes += what->bytes;
}

void step_profile_begin(step_profile *profile, double (*clock)(void))
{
    profile->row_count = 0;
    profile->watch = (thaw_watch){.clock = clock, .after = after, .context = profile};
}

void step_profile_part(step_profile *profile, const char *name, double seconds)
{
    if (profile->watch.clock == NULL)
        return;
    step_profile_row *row = find(profile, name);
    row->is_part = true;
    row->count++;
    row->seconds += seconds;
}

void step_profile_print(const step_profile *profile, int64_t steps, double seconds)
{
    const double n = (double)steps;
    for (int32_t i = 0; i < profile->row_count; i++) {
        const step_profile_row *row = &profile->rows[i];
        if (row->is_part)
            printf("part %s %.1f %.4f\n", row->label, (double)row->count / n,
                   row->seconds / n * 1e3);
        else
            printf("op %.1f %.4f %.4f %.4f %s\n", (double)row->count / n, row->seconds / n * 1e3,
                   row->flops / n * 1e-9, row->bytes / n * 1e-6, row->label);
    }
    printf("step %.4f\n", seconds / n * 1e3);
}
