#include "thaw/base.h"

#include <ctype.h>
#include <string.h>

#define LONGEST 64

static int least(int a, int b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance: insert, delete, replace, or swap two neighbours, one each. Case is ignored. */
static int distance(const char *a, const char *b)
{
    int rows[3][LONGEST + 1];
    int length_a = (int)strlen(a);
    int length_b = (int)strlen(b);
    for (int j = 0; j <= length_b; j++)
        rows[0][j] = j;
    for (int i = 1; i <= length_a; i++) {
        int *now = rows[i % 3];
        const int *up = rows[(i + 2) % 3];
        const int *two_up = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= length_b; j++) {
            int changed = same_letter(a[i - 1], b[j - 1]) ? 0 : 1;
            now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + changed);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                now[j] = least(now[j], two_up[j - 2] + 1);
        }
    }
    return rows[length_a % 3][length_b];
}

const char *thaw_did_you_mean(const char *text, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(text);
    if (length == 0 || length > LONGEST)
        return NULL;
    /* A third of the letters may be wrong, and always one; a single letter suggests nothing but another case. */
    int allowed = length == 1 ? 0 : least(4, (int)(length + 2) / 3);
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) > LONGEST)
            continue;
        int far = distance(text, candidates[i]);
        if (far <= allowed) {
            best = candidates[i];
            allowed = far - 1;
        }
    }
    return best;
}
