#include "ladder/note_impl.h"

#include <math.h>

/* Of 240 problems with known answers, docs/evidence.md: how often this opinion and the verdicts' choice were right, and how often the
 * opinion went deeper in those where no rung was better than frozen, in none of which the choice did. They are for accuracy, a margin of one
 * point and a climb through all rungs, and are quoted of nothing else. */
#define MEASURED_MARGIN    0.01
#define RIGHT_BY_MARGIN    77
#define RIGHT_BY_VERDICT   59
#define DEEPER_FOR_NOTHING 12
#define FROZEN_WAS_RIGHT   84

static int64_t place_of(const thaw_json *summary, const char *name)
{
    int64_t place = 0;
    for (LADDER_EACH(rung, summary, "rungs")) {
        if (ladder_is(rung, "name", name))
            return place;
        place++;
    }
    return -1;
}

static void add_worth(const thaw_json *summary, thaw_str *out)
{
    if (!ladder_by_accuracy(summary) || !ladder_is(summary, "mode", "exhaustive") ||
        fabs(ladder_number(summary, "design.margin") - MEASURED_MARGIN) > 1e-9)
        return;
    thaw_str_printf(out,
                    " Where the answer was known this was right in %d%% of the problems, the "
                    "choice in %d%%; but of %d in which nothing was better than frozen it went "
                    "deeper in %d%%, the choice in none (docs/evidence.md).",
                    RIGHT_BY_MARGIN, RIGHT_BY_VERDICT, FROZEN_WAS_RIGHT, DEEPER_FOR_NOTHING);
}

void ladder_add_second_opinion(thaw_str *out, const thaw_json *summary)
{
    const char *name = ladder_text(summary, "within_margin_rung");
    const char *chosen = ladder_text(summary, "chosen");
    const double points = 100 * ladder_number(summary, "design.margin");
    if (name[0] == '\0')
        return;
    thaw_str_printf(out,
                    "Second opinion, without a test: `%s` is the simplest rung whose mean on gate "
                    "is within %g point%s of the best",
                    name, points, points == 1 ? "" : "s");
    if (!ladder_is(summary, "best_mean_rung", name))
        thaw_str_printf(out, ", that of `%s`", ladder_text(summary, "best_mean_rung"));
    thaw_str_add(out, ".");
    if (ladder_is(summary, "chosen", name)) {
        thaw_str_add(out, " It agrees with the choice.");
    } else if (place_of(summary, name) > place_of(summary, chosen)) {
        add_worth(summary, out);
        thaw_str_printf(out,
                        " Where a wrong step deeper costs little, take `%s`; to be sure, judge "
                        "on more gate samples or by more seeds.",
                        name);
    } else {
        thaw_str_printf(out, " The choice, `%s`, has a clear gain to show for its depth.", chosen);
    }
}
