"""What the records of tools/bench/decide say: how often each way to choose a rung is right, what its claims are worth, and which rung is best
for which labels and gap. Needs no package of Python."""
import base64
import json
import math
import os

RUNGS = ["frozen", "peft", "partial:1", "full"]
EPSILON = 0.01  # rungs within one point of the best are equal, and the simplest of them is right
WAYS = ["ladder, sequential", "ladder, exhaustive", "always full", "best val", "one seed", "one error", "within half", "within a point", "within two"]
BROKEN_DOWN = ["ladder, sequential", "ladder, exhaustive", "always full", "best val", "within a point"]  # by shift, labels, gate and right rung
WITHIN = {"within half": 0.005, "within a point": EPSILON, "within two": 0.02}
# What ends a climb: of the ladder's two modes, and of one between them.
STOPS = {"sequential": ["inconclusive", "equivalent", "worse"], "past inconclusive": ["equivalent", "worse"], "exhaustive": []}
ADVICE = ((50, 1000), (0.05, 0.3))  # the cut-points of thaw advise, and below some to compare them with
LABEL_CUTS = [3, 5, 10, 20, 50, 100, 200, 500, 1000]


def read(path):
    records = {}
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                try:  # a run that was killed may leave half a line, and the next one may go on behind it
                    r = json.loads(line)
                except ValueError:
                    continue
                records[r["seed"], r["index"]] = r
    return [records[k] for k in sorted(records)]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def error(values):
    m = mean(values)
    return math.sqrt(sum((v - m) ** 2 for v in values) / (len(values) - 1) / len(values)) if len(values) > 1 else float("inf")


def true_score(r, rung):
    """Where labels are coins every rung is worth the same by construction."""
    return 0.0 if r["shift"] == "null" else mean(r["truth"][rung])


def right_rung(r, shift=0.0):
    best = max(RUNGS, key=lambda name: true_score(r, name))
    for name in RUNGS:
        lost = true_score(r, best) - true_score(r, name)
        if shift and r["shift"] != "null":
            lost += shift * error([a - b for a, b in zip(r["truth"][best], r["truth"][name])]) if name != best else 0
        if lost <= EPSILON:
            return name
    return best


def is_sure(r):
    """Whether the right rung stays the same where differences are two standard errors smaller or larger."""
    return right_rung(r, -2) == right_rung(r, 2)


def climb(ladder, mode):
    """The rung that is chosen, and the verdicts of what was compared by then: rung -> verdict."""
    chosen, said = "frozen", {}
    for c in ladder["depth"]:
        said[c["b"]] = c["verdict"]
        if c["verdict"] == "clear gain":
            chosen = c["b"]
        elif c["verdict"] in STOPS[mode]:
            break
    return chosen, said


def right_bits(r, rung):
    """(seeds, gate samples) of 0 and 1: what each trial got right."""
    return [[byte >> (7 - bit) & 1 for byte in base64.b64decode(text) for bit in range(8)][:r["gate"]] for text in r["rungs"][rung]["right"]]


def paired_error(r, a, b):
    """Standard error of the mean difference, seeds and samples crossed, as src/evidence/anova.c has it."""
    z = [[x - y for x, y in zip(u, v)] for u, v in zip(right_bits(r, a), right_bits(r, b))]
    S, N = len(z), r["gate"]
    by_seed, by_sample = [mean(row) for row in z], [mean(column) for column in zip(*z)]
    delta = mean(by_seed)
    samples = S * sum((v - delta) ** 2 for v in by_sample) / (N - 1)
    seeds = N * sum((v - delta) ** 2 for v in by_seed) / (S - 1)
    rest = sum((z[s][i] - by_sample[i] - by_seed[s] + delta) ** 2 for s in range(S) for i in range(N)) / (N - 1) / (S - 1)
    return math.sqrt(max(0, samples - rest) / (S * N) + seeds / (S * N) + 1 / (N + 2) ** 2)


def choose(r, way, rules="default"):
    """The rung, and the verdicts that went with it (None of a way that gives none)."""
    if way.startswith("ladder, "):
        return climb(r["ladders"][rules], way[len("ladder, "):])
    gate = {name: mean(r["rungs"][name]["gate"]) for name in RUNGS}
    if way in WITHIN:  # the simplest rung whose mean on gate is so near the best, without a test
        return next(name for name in RUNGS if gate[name] >= max(gate.values()) - WITHIN[way] - 1e-12), None
    if way == "one error":  # Breiman et al. 1984, with the paired error
        best = max(RUNGS, key=lambda name: gate[name])
        return next(name for name in RUNGS if name == best or gate[best] - gate[name] <= paired_error(r, best, name)), None
    score = {"always full": lambda name: name == "full", "best val": lambda name: mean(r["rungs"][name]["val"]),
             "one seed": lambda name: r["rungs"][name]["gate"][0]}[way]
    return max(RUNGS, key=lambda name: (score(name), -RUNGS.index(name))), None


def outcome(r, chosen, said):
    right = right_rung(r)
    if chosen == right:
        return "right"
    if RUNGS.index(chosen) > RUNGS.index(right):
        return "too deep"
    # A ladder that stopped without a verdict has not said that nothing deeper is better.
    if said is not None and said.get(right, list(said.values())[-1]) == "inconclusive":
        return "inconclusive"
    return "too shallow"


def cost(r, way, said):
    spent = {name: row["core_seconds"] for name, row in r["rungs"].items()}
    if way == "always full":
        return spent["frozen"] + spent["full"]
    if way == "one seed":  # the search alone: three of five trials
        return sum(s * (row["trials"] - 2) / row["trials"] for s, row in zip((spent[n] for n in RUNGS), (r["rungs"][n] for n in RUNGS)))
    if way in ("best val", "one error", *WITHIN):
        return sum(spent[name] for name in RUNGS)
    return spent["scratch"] + spent["frozen"] + sum(spent[name] for name in said)


def percent(n, of):
    return f"{100 * n / of:.0f} %" if of else "-"


def row_of(records, way, rules="default"):
    found = {"right": 0, "too deep": 0, "too shallow": 0, "inconclusive": 0}
    lost, spent, harmed = [], [], 0
    for r in records:
        chosen, said = choose(r, way, rules)
        found[outcome(r, chosen, said)] += 1
        lost.append(max(true_score(r, name) for name in RUNGS) - true_score(r, chosen))
        spent.append(cost(r, way, said))
        harmed += lost[-1] > 0.02
    n = len(records)
    return [percent(found[k], n) for k in found] + [f"{100 * mean(lost):.2f}", percent(harmed, n), f"{mean(spent):.2f}"]


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in row) + " |" for row in rows]) + "\n"


HEAD = ["right", "too deep", "too shallow", "inconclusive", "points lost", "lost over 2", "core seconds"]


def by(records, title, key, order=None):
    groups = {}
    for r in records:
        groups.setdefault(key(r), []).append(r)
    rows = []
    for name in order or sorted(groups):
        some = groups.get(name, [])
        if some:
            rows.append([name, len(some)] + [share(some, way) for way in BROKEN_DOWN] + [row_of(some, way)[4] for way in BROKEN_DOWN])
    return markdown([title, "problems"] + [f"{w}: right" for w in BROKEN_DOWN] + [f"{w}: lost" for w in BROKEN_DOWN], rows)


def share(records, way):
    return row_of(records, way)[0]


def claims(records, rules="default"):
    """What verdicts of depth and of transfer are worth: how often each was given, and held against the truth."""
    rows = {}
    tests = {"clear gain": lambda d: d > 0, "worse": lambda d: d < 0, "equivalent": lambda d: abs(d) < EPSILON, "inconclusive": lambda d: abs(d) < EPSILON,
             "helps": lambda d: d > 0, "negative transfer": lambda d: d < 0, "no evidence": lambda d: abs(d) < EPSILON}
    for r in records:
        for c in r["ladders"][rules]["depth"] + r["ladders"][rules]["transfer"]:
            d = true_score(r, c["b"]) - true_score(r, c["a"])
            given = rows.setdefault(c["verdict"], [0, 0, 0])
            given[0] += 1
            given[1] += tests[c["verdict"]](d)
            given[2] += abs(d) < EPSILON
    return [[v, rows[v][0], percent(rows[v][1], rows[v][0]), percent(rows[v][2], rows[v][0])] for v in tests if v in rows]


def alarms(records):
    """Where no rung is better than frozen by as much as epsilon, how often each way goes deeper."""
    rows = []
    for title, some in (("labels are coins", [r for r in records if r["shift"] == "null"]),
                        ("frozen is right by measurement", [r for r in records if r["shift"] != "null" and right_rung(r) == "frozen"])):
        rows.append([title, len(some)] + [percent(sum(choose(r, way)[0] != "frozen" for r in some), len(some)) for way in WAYS])
    return markdown(["no rung is better than frozen", "problems"] + [f"{w}: deeper" for w in WAYS], rows)


def negative(records):
    """Known negative transfer: the frozen rung, or the best of all, loses to scratch by more than epsilon."""
    bad = [r for r in records if r["shift"] != "null" and true_score(r, "scratch") - true_score(r, "frozen") > EPSILON]
    flagged = sum(c["verdict"] == "negative transfer" for r in bad for c in r["ladders"]["default"]["transfer"] if c["b"] == "frozen")
    good = [r for r in records if r["shift"] != "null" and true_score(r, "frozen") - true_score(r, "scratch") > EPSILON]
    wrong = sum(c["verdict"] == "negative transfer" for r in good for c in r["ladders"]["default"]["transfer"] if c["b"] == "frozen")
    worse = sum(true_score(r, "scratch") - max(true_score(r, n) for n in RUNGS) > EPSILON for r in records if r["shift"] != "null")
    return (f"Frozen loses more than a point to scratch in {len(bad)} problems; the ladder says negative transfer in {flagged} of them "
            f"({percent(flagged, len(bad))}), and in {wrong} of the {len(good)} where frozen wins by more than a point. "
            f"In {worse} scratch is better than every rung by more than a point.\n")


def decline(records):
    """Why comparisons with a true gain of epsilon or more were not called one."""
    why, n = {}, 0
    for r in records:
        for c in r["ladders"]["default"]["depth"]:
            if true_score(r, c["b"]) - true_score(r, c["a"]) >= EPSILON and c["verdict"] != "clear gain":
                n += 1
                for reason in c["reasons"]:
                    why[reason] = why.get(reason, 0) + 1
    return f"Of comparisons with a true gain of a point or more {n} were not called one: " + \
        ", ".join(f"{reason} {k}" for reason, k in sorted(why.items(), key=lambda x: -x[1])) + ".\n"


def table(records):
    real = [r for r in records if r["shift"] != "null"]
    sure = [r for r in real if is_sure(r)]
    out = [f"{len(records)} problems, {len(records) - len(real)} of them with coins for labels; the right rung is sure in {len(sure)} of the other {len(real)}. "
           f"Advice and ladder take {mean(r['seconds'] for r in records):.1f} core seconds a problem.\n",
           "Right rungs: " + ", ".join(f"{name} {sum(right_rung(r) == name for r in records)}" for name in RUNGS) + ".\n"]
    for title, some in (("All problems", records), ("Problems whose right rung is sure", sure)):
        out += [f"### {title} ({len(some)})\n", markdown(["way"] + HEAD, [[way] + row_of(some, way) for way in WAYS])]
    rules = list(records[0]["ladders"])
    out += ["### Other rules, the same trials\n",
            markdown(["rules, mode"] + HEAD + ["false alarms"], [[f"{k}, {m}"] + row_of(records, f"ladder, {m}", k) + [false_alarms(records, k, m)]
                                                              for k in rules for m in STOPS])]
    out += ["### By shift\n", by(records, "shift", lambda r: f"{r['base']} {r['shift']}"),
            "### By labels\n", by(records, "labels", lambda r: r["labels"]), "### By gate samples\n", by(records, "gate", lambda r: r["gate"]),
            "### By the right rung\n", by(records, "right rung", right_rung, RUNGS),
            "### Under the null\n", alarms(records), "### What verdicts are worth\n",
            markdown(["verdict", "given", "holds", "truth within a point"], claims(records)), negative(records), decline(records)]
    return "\n".join(out)


def false_alarms(records, rules, mode):
    some = [r for r in records if right_rung(r) == "frozen"]
    return percent(sum(choose(r, f"ladder, {mode}", rules)[0] != "frozen" for r in some), len(some))


def cell(value, cuts):
    return sum(value >= c for c in cuts)


def fit(records, label_cuts, gap_cuts):
    """Share of problems whose right rung is the one most frequent among the others of their cell."""
    cells = {}
    for r in records:
        key = (cell(r["advise"]["labels_per_class"], label_cuts), cell(r["advise"]["gap"], gap_cuts))
        cells.setdefault(key, []).append(right_rung(r))
    hits = 0
    for found in cells.values():
        for own in found:
            counts = {name: found.count(name) - (name == own) for name in RUNGS}
            hits += len(found) > 1 and max(RUNGS, key=lambda name: (counts[name], -RUNGS.index(name))) == own
    return hits / len(records)


def cuts(records):
    some = [r for r in records if r["shift"] != "null" and r["advise"]["gap"] is not None]
    gaps = sorted(r["advise"]["gap"] for r in some)
    grid = sorted({float(f"{gaps[int(q * (len(gaps) - 1) / 12)]:.2g}") for q in range(1, 12)} | {0.02, 0.05, 0.3})
    tried = sorted(((fit(some, (a, b), (c, d)), (a, b), (c, d)) for a in LABEL_CUTS for b in LABEL_CUTS if a < b
                    for c in grid for d in grid if c < d), reverse=True)
    out = [f"{len(some)} problems with a gap from {gaps[0]:.3g} to {gaps[-1]:.3g}. Right by the table, each problem by the others of its cell:\n",
           markdown(["labels a class", "gap", "right"], [[f"{a[0]}, {a[1]}", f"{b[0]}, {b[1]}", percent(s, 1)] for s, a, b in
                    [(fit(some, *ADVICE), *ADVICE), (fit(some, (), ()), ("-", "-"), ("-", "-")),
                     (max(fit(some, (a,), ()) for a in LABEL_CUTS), ("one", "cut"), ("-", "-")),
                     (max(fit(some, (), (c,)) for c in grid), ("-", "-"), ("one", "cut"))] + tried[:8]])]
    best = tried[0]
    for a, b in (ADVICE, best[1:]):
        out += [f"Labels a class cut at {a}, gap at {b}: problems; right rungs {', '.join(RUNGS)}; scratch better than all by a point; "
                f"points that each rung loses in the mean\n", markdown(["labels", "gap", "problems"] + RUNGS + ["scratch"] + [f"{n}: lost" for n in RUNGS], cells_of(some, a, b))]
    return "\n".join(out)


def cells_of(records, label_cuts, gap_cuts):
    rows = []
    for i in range(len(label_cuts) + 1):
        for j in range(len(gap_cuts) + 1):
            some = [r for r in records if (cell(r["advise"]["labels_per_class"], label_cuts), cell(r["advise"]["gap"], gap_cuts)) == (i, j)]
            if some:
                best = [max(true_score(r, n) for n in RUNGS) for r in some]
                rows.append([i, j, len(some)] + [sum(right_rung(r) == name for r in some) for name in RUNGS]
                            + [sum(true_score(r, "scratch") - b > EPSILON for r, b in zip(some, best))]
                            + [f"{100 * mean(b - true_score(r, n) for r, b in zip(some, best)):.1f}" for n in RUNGS])
    return rows
