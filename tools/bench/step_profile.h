/* step_profile.h - where the time of a step goes: operators, told by the plan's watch, and the parts around them.
 *
 * Rows with one kind, shapes, direction and algorithm count as one. Printed, one a line:
 *   op COUNT MILLISECONDS GFLOP MEGABYTES KIND/PASS SHAPES ALGORITHM      of one step
 *   part NAME COUNT MILLISECONDS
 *   step MILLISECONDS                                                     the mean step, all of it
 * Parts that run between operators of backward (reduce/add) are not in the operators' time. */
#ifndef STEP_PROFILE_H
#define STEP_PROFILE_H

#include "thaw/graph.h"

enum { STEP_PROFILE_ROWS = 512 };

typedef struct step_profile_row {
    char label[160];
    bool is_part;
    int64_t count;
    double seconds, flops, bytes;
} step_profile_row;

typedef struct step_profile {
    thaw_watch watch; /* for thaw_plan_watch; clock NULL: nothing is kept */
    step_profile_row rows[STEP_PROFILE_ROWS];
    int32_t row_count;
} step_profile;

void step_profile_begin(step_profile *profile, double (*clock)(void));
void step_profile_part(step_profile *profile, const char *name, double seconds);
void step_profile_print(const step_profile *profile, int64_t steps, double seconds);

#endif
