#include "report/text_impl.h"

/* Colours shared with the charts (page, card, text, muted, rule, accent) come from thaw_chart_css. */
static const char *const css[] = {
    (":root{color-scheme:light dark;--good:#17724a;--good-soft:#e0f3e8;--neutral:#47525d;"
     "--neutral-soft:#eaedf0;--warn:#7d5200;--warn-soft:#fcefd2;--bad:#a8231b;"
     "--bad-soft:#fbe5e3;--shade:#0003}\n"),
    ("@media screen and (prefers-color-scheme:dark){:root{--good:#74d9a6;--good-soft:#163528;"
     "--neutral:#b8c0c9;--neutral-soft:#2a3037;--warn:#f0c365;--warn-soft:#392d13;"
     "--bad:#ff9f95;--bad-soft:#45201d;--shade:#000b}}\n"),
    "*{box-sizing:border-box}\n",
    "html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}\n",
    ("body{margin:0;background:var(--page);color:var(--text);font:1rem/1.6 system-ui,"
     "-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Liberation Sans\",Arial,sans-serif;"
     "overflow-wrap:break-word}\n"),
    "main{max-width:68rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}\n",
    ("h1{font-size:2rem;line-height:1.2;margin:0 0 .5rem;letter-spacing:-.015em;"
     "text-wrap:balance}\n"),
    "h2{font-size:1.4rem;line-height:1.3;margin:3rem 0 1rem;letter-spacing:-.01em}\n",
    "h3{font-size:1.1rem;margin:2rem 0 .5rem}h4,h5{font-size:1rem;margin:1.5rem 0 .5rem}\n",
    ("p,ul,ol,blockquote{max-width:46rem;margin:0 0 1rem}li{margin:.2rem 0}"
     "ul,ol{padding-left:1.4rem}li ul,li ol{margin:0}\n"),
    ".lead{font-size:1.15rem;color:var(--muted);margin:0}\n",
    "nav{margin:1.5rem 0 0;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.95rem}\n",
    ("a{color:var(--accent);text-underline-offset:.2em}nav a{text-decoration:none;"
     "padding:.2rem 0}a:hover{text-decoration:underline}\n"),
    ":focus-visible{outline:2px solid var(--accent);outline-offset:2px}\n",
    ("code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,\"Liberation Mono\","
     "monospace;font-size:.9em}\n"),
    "code{background:var(--neutral-soft);border-radius:4px;padding:.1em .35em}\n",
    ("pre{background:var(--card);border:1px solid var(--rule);border-radius:8px;"
     "padding:.9rem 1rem;overflow-x:auto;line-height:1.5}pre code{background:none;padding:0}\n"),
    "blockquote{border-left:3px solid var(--rule);padding-left:1rem;color:var(--muted)}\n",
    "hr{border:0;border-top:1px solid var(--rule);margin:2rem 0}\n",
    (".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.9rem;"
     "margin:1.25rem 0}\n"),
    (".tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;"
     "padding:.85rem 1rem;border-top:3px solid var(--rule)}\n"),
    (".tile.good{border-top-color:var(--good)}.tile.warn{border-top-color:var(--warn)}"
     ".tile.bad{border-top-color:var(--bad)}\n"),
    (".tile .label{color:var(--muted);font-size:.875rem;line-height:1.35}"
     ".tile .value{font-size:1.6rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;"
     "font-variant-numeric:tabular-nums;margin:.15rem 0}"
     ".tile .detail{color:var(--muted);font-size:.875rem;line-height:1.4}\n"),
    (".facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));"
     "gap:0 2.5rem;margin:1rem 0;padding:0}\n"),
    (".facts div{display:flex;justify-content:space-between;gap:1rem;padding:.4rem 0;"
     "border-bottom:1px solid var(--rule)}.facts dt{color:var(--muted)}"
     ".facts dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;min-width:0;"
     "overflow-wrap:anywhere}\n"),
    (".badge{display:inline-block;border-radius:999px;padding:.1em .7em;font-size:.85em;"
     "font-weight:600;line-height:1.5;white-space:nowrap}\n"),
    (".badge.good{color:var(--good);background:var(--good-soft)}"
     ".badge.neutral{color:var(--neutral);background:var(--neutral-soft)}"
     ".badge.warn{color:var(--warn);background:var(--warn-soft)}"
     ".badge.bad{color:var(--bad);background:var(--bad-soft)}\n"),
    (".callout{background:var(--card);border:1px solid var(--rule);border-left:4px solid "
     "var(--neutral);border-radius:8px;padding:.8rem 1.1rem;margin:1rem 0;max-width:none}\n"),
    (".callout.good{border-left-color:var(--good)}.callout.warn{border-left-color:var(--warn)}"
     ".callout.bad{border-left-color:var(--bad)}.callout .badge{margin-right:.6em}"
     ".callout p{margin:0;max-width:56rem}\n"),
    (".table{margin:1.25rem 0}.scroll{overflow-x:auto;background:linear-gradient(90deg,var(--card) "
     "40%,transparent) 0 0/2.5rem 100% local,"
     "linear-gradient(270deg,var(--card) 40%,transparent) 100% 0/2.5rem 100% local,"
     "linear-gradient(90deg,var(--shade),transparent) 0 0/.7rem 100%,"
     "linear-gradient(270deg,var(--shade),transparent) 100% 0/.7rem 100%,var(--card);"
     "background-repeat:no-repeat;"
     "border:1px solid var(--rule);border-radius:10px}\n"),
    ("table{border-collapse:collapse;width:100%;font-size:.95rem;line-height:1.45;"
     "font-variant-numeric:tabular-nums}\n"),
    ("th,td{padding:.55rem .9rem;text-align:left;vertical-align:baseline;white-space:nowrap}"
     ".long{white-space:normal;min-width:16rem}\n"),
    ("thead th{color:var(--muted);font-weight:600;font-size:.875rem;border-bottom:1px solid "
     "var(--rule)}tbody th{font-weight:400}tbody tr+tr>*{border-top:1px solid var(--rule)}\n"),
    (".from{color:inherit;text-decoration:underline dotted var(--muted) 1px}"
     ".from:hover{text-decoration:underline}\n"),
    (".records{margin:1.25rem 0;font-size:.875rem;line-height:1.45}.records>div{padding:.5rem "
     ".75rem;"
     "border-top:1px solid "
     "var(--rule);scroll-margin:2rem}.records>div:target{background:var(--mark)}"
     ".records dt{font-weight:600}.records dd{margin:0;overflow-wrap:anywhere;"
     "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,\"Liberation Mono\",monospace}\n"),
    (".skip{position:absolute;left:-100vw}.skip:focus{left:.5rem;top:.5rem;background:var(--card);"
     "padding:.5rem .75rem;z-index:1}\n"),
    ".right{text-align:right}.center{text-align:center}\n",
    ("caption,figcaption,.caption{color:var(--muted);font-size:.9rem;line-height:1.5}"
     ".caption{margin:.5rem 0 0;max-width:56rem}\n"),
    ("figure{background:var(--card);border:1px solid var(--rule);border-radius:10px;"
     "margin:1.25rem 0;padding:1.1rem 1.25rem 1rem}\n"),
    ("figure .title{font-weight:650;margin:0 0 .75rem;line-height:1.35}"
     "figcaption{margin-top:.75rem;max-width:56rem}\n"),
    "figure .narrow{display:none}\n",
    ("details{background:var(--card);border:1px solid var(--rule);border-radius:10px;"
     "margin:1.25rem 0;padding:0 1.1rem}summary{cursor:pointer;padding:.75rem 0;"
     "font-weight:600}details[open]{padding-bottom:.6rem}details figure{border:0;padding:0}\n"),
    ("footer{margin-top:3.5rem;padding-top:1rem;border-top:1px solid var(--rule);"
     "color:var(--muted);font-size:.875rem}\n"),
    ("@media screen and (max-width:900px){figure .wide{display:none}"
     "figure .narrow{display:block;max-width:420px;margin:0 auto}}\n"),
    ("@media screen and (max-width:520px){main{padding:1.4rem .9rem 3rem}h1{font-size:1.6rem}"
     "h2{font-size:1.25rem;margin-top:2.25rem}figure{padding:.85rem .65rem .75rem}"
     "figure .title,figcaption{padding:0 .25rem}"
     ".tiles{grid-template-columns:1fr 1fr;gap:.6rem}.tile{padding:.65rem .75rem}"
     ".tile .value{font-size:1.3rem}th,td{padding:.5rem .65rem}.lead{font-size:1.05rem}}\n"),
    ("@media print{@page{margin:16mm}html{font-size:10pt}body{background:none}"
     "main{padding:0;max-width:none}nav,.skip,.records{display:none}"
     ".from{text-decoration:none}h2,h3{break-after:avoid}.tiles{grid-template-columns:repeat(3,1fr)"
     "}"
     "figure,.tile,.callout,tr{break-inside:avoid}.scroll{overflow:visible}"
     "th,td{white-space:normal}details::details-content{content-visibility:visible;"
     "block-size:auto}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n"),
};

void thaw_html_css(thaw_str *out)
{
    for (size_t i = 0; i < sizeof css / sizeof *css; i++)
        thaw_str_add(out, css[i]);
}
