#include "thaw/report.h"

#include "report/chart_impl.h"

#include <string.h>

/* The first five colours are those of the ladder. They were chosen to stay apart, in lightness too, under simulated
 * protanopia, deuteranopia and tritanopia (Machado et al. 2009), with at least 3:1 against what they are drawn on; text has 4.5:1, also on
 * the cells of a matrix (tests/report/test_contrast.c). */
static const char css[] =
    ":root{--page:#f6f7f8;--card:#fff;--text:#1b2026;--muted:#59636e;--rule:#dfe3e8;"
    "--zero:#8a949f;--accent:#1668b8;--mark:#eaf2fb;"
    "--c0:#454c55;--c1:#1668b8;--c2:#1a9670;--c3:#a86200;--c4:#c766c4;--c5:#107a9d;"
    "--c6:#96281b;--c7:#7d8810;--more:#b04f00;--fewer:#1668b8}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--page:#13161a;--card:#1b1f24;"
    "--text:#e6e9ec;--muted:#a0a9b3;--rule:#30363d;--zero:#78828d;--accent:#6aabf5;"
    "--mark:#1c2d41;"
    "--c0:#a6adb5;--c1:#4a90f0;--c2:#7fe3b5;--c3:#eeb01e;--c4:#c06a9c;--c5:#79d7fe;"
    "--c6:#ea8069;--c7:#f0e167;--more:#b27233;--fewer:#4983c4}}\n"
    ".thaw-chart{display:block;width:100%;height:auto;font-family:system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Liberation Sans\",Arial,sans-serif;"
    "font-size:14px;font-variant-numeric:tabular-nums}\n"
    ".thaw-chart text{fill:var(--text);stroke:var(--card);stroke-width:4px;"
    "stroke-linejoin:round;paint-order:stroke}.thaw-chart .chosen text{stroke:var(--mark)}"
    ".matrix text{stroke:none}.thaw-chart .m{fill:var(--muted)}"
    ".thaw-chart .b{font-weight:650}\n"
    ".thaw-chart .grid{stroke:var(--rule)}.thaw-chart .zero{stroke:var(--zero)}"
    ".thaw-chart .reference{stroke:var(--muted);stroke-dasharray:3 4;stroke-width:1.5}\n"
    ".thaw-chart .band{fill:var(--mark)}.thaw-chart .fill{fill:currentColor}"
    ".thaw-chart .soft{fill:currentColor;fill-opacity:.45}\n"
    ".thaw-chart .series{stroke:currentColor;fill:none;stroke-width:2.5;stroke-linejoin:round;"
    "stroke-linecap:round}.thaw-chart .thin{stroke-width:1.3;stroke-opacity:.55}"
    ".thaw-chart .dash{stroke-dasharray:7 5;stroke-linecap:butt}\n"
    ".thaw-chart .interval{stroke:currentColor;stroke-width:3;stroke-linecap:round}"
    ".thaw-chart .ring{fill:currentColor;stroke:var(--card);stroke-width:2}\n"
    ".thaw-chart .more{fill:var(--more)}.thaw-chart .fewer{fill:var(--fewer)}"
    ".thaw-chart .cell{fill:none;stroke:var(--rule)}"
    ".thaw-chart .diagonal{fill:none;stroke:var(--zero);stroke-width:1.5}\n"
    ".thaw-chart .c0{color:var(--c0)}.thaw-chart .c1{color:var(--c1)}"
    ".thaw-chart .c2{color:var(--c2)}.thaw-chart .c3{color:var(--c3)}"
    ".thaw-chart .c4{color:var(--c4)}.thaw-chart .c5{color:var(--c5)}"
    ".thaw-chart .c6{color:var(--c6)}.thaw-chart .c7{color:var(--c7)}\n";

const char *thaw_chart_css(void)
{
    return css;
}

int thaw_chart_colour(const char *rung)
{
    static const char *const known[] = {"scratch", "frozen", "peft", "partial", "full"};
    for (int i = 0; i < 5; i++)
        if (thaw_starts_with(rung, known[i]))
            return i;
    return 5 + (int)(thaw_hash(rung, strlen(rung)).low % 3);
}

void thaw_chart_standalone(const thaw_str *svg, thaw_str *out)
{
    const char *text = thaw_str_c(svg);
    const char *head_end = strchr(text, '>');
    if (!thaw_starts_with(text, "<svg ") || head_end == NULL)
        return;
    thaw_str_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" ");
    thaw_str_add_bytes(out, text + 5, (size_t)(head_end - text) - 4);
    thaw_str_add(out, "\n<style>");
    thaw_html_escape(out, css);
    thaw_str_add(out, "svg{background:var(--card)}</style>");
    thaw_str_add(out, head_end + 1);
}
