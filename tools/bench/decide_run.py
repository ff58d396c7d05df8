"""Runs the problems of tools/bench/decide through `thaw` and writes a line of JSON about each; see decide --help."""
import argparse
import base64
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

import decide_problems as problems
import decide_table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRUTH_SEEDS = 4
# The same trials judged by other rules: only the ladder's settings differ, so that --resume trains nothing.
RULES = {
    "default": [],
    "no slices": ["ladder.slice_tolerance=1"],
    "loose": ["ladder.slice_tolerance=1", "ladder.alpha=0.1", "ladder.confidence=0.9"],
    "no least effect": ["ladder.slice_tolerance=1", "ladder.min_effect=0"],
    "looser": ["ladder.slice_tolerance=1", "ladder.alpha=0.2", "ladder.confidence=0.8", "ladder.min_effect=0.005"],
    "one seed": ["ladder.seeds=1"],
}
# Rules that only lift some reasons against a gain, and these reasons.
VETOES = {"no slices": {"slice_harmed"}, "no least effect": {"slice_harmed", "gain_below_least_effect"}}


def config(backbone, data, spec):
    n = spec["labels"]
    batch = 10 if n <= 50 else 20 if n <= 200 else 50
    epochs = max(1, min(16, 5000 // n))
    return f"""name: problem
output: run
kernels: rule
data: {{file: {data}, test: ""}}
model: {{backbone: {backbone}}}
peft: {{method: lora, rank: 4, alpha: 8, targets: [linear]}}
train: {{epochs: {epochs}, batch: {batch}, shards: 1, eval_batch: 200, checkpoint_every: 1000000, watchdog: 0}}
optimizer: {{kind: sgd, momentum: 0.9, nesterov: true, weight_decay: 0.0005, clip_norm: 1.0}}
schedule: {{kind: cosine, warmup: 0.1}}
ladder:
  rungs: [scratch, frozen, peft, "partial:1", full]
  mode: exhaustive
  search_scratch: [0.03, 0.1, 0.3]
  search_head: [0.03, 0.1, 0.3]
  search_adapter: [0.03, 0.1, 0.3]
  search_backbone: [0.01, 0.03, 0.1]
  seeds: 3
  resamples: 2000
"""


SOURCE = """name: source
output: source
kernels: rule
seed: 7
rung: scratch
data: {{file: {data}, gate: "", test: ""}}
model: {{arch: mlp, hidden: [64, 64]}}
train: {{epochs: {epochs}, batch: 50, shards: 1, eval_batch: 200, checkpoint_every: 1000000, save_backbone: {out}}}
optimizer: {{kind: sgd, momentum: 0.9, nesterov: true, weight_decay: 0.0005}}
schedule: {{kind: onecycle}}
rates: {{head: 0.1, backbone: 0.1, reason: random weights}}
"""


def changes(rules, summary):
    """Whether other rules can give another verdict: a climb where they cannot need not be judged again."""
    missed = [c for c in summary["comparisons"] if c["verdict"] != "clear gain"]
    if rules in VETOES:
        return any(set(c["reasons"]) <= VETOES[rules] for c in missed)
    return bool(missed)  # narrower intervals also make equivalent or worse of what was inconclusive


class Failed(Exception):
    pass


class Bench:
    def __init__(self, build, work, shared):
        self.thaw, self.work, self.shared = os.path.join(build, "thaw"), work, shared
        if not os.path.exists(self.thaw):
            sys.exit(f"decide: {self.thaw} is not built")
        self.bases = {"made": problems.Made()}

    def base(self, name):
        if name not in self.bases:
            self.bases[name] = problems.Images()
        return self.bases[name]

    def run(self, *words):
        done = subprocess.run([self.thaw, *words], cwd=self.work, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise Failed(f"thaw {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def backbone(self, base, name):
        path = os.path.join(self.shared, f"{name}.h5")
        if not os.path.exists(path):
            splits, K = self.base(base).source(name)
            problems.write(self.path("source-data.h5"), splits, K)
            # Random labels take many epochs until they are known by heart.
            self.write("source.yaml", SOURCE.format(data="source-data.h5", out=f"{name}.h5", epochs=20 if "heart" in name else 6))
            self.run("train", "source.yaml", "--quiet", "--overwrite")
            # Several at once may make the same one; a name is only given to a whole file.
            shutil.copy(self.path(f"{name}.h5"), f"{path}.{os.getpid()}")
            os.rename(f"{path}.{os.getpid()}", path)
        return path

    def read(self, *parts):
        with open(self.path(*parts)) as f:
            return json.load(f)

    def solve(self, spec):
        base = self.base(spec["base"])
        backbone = self.backbone(spec["base"], spec["source"])
        splits, K = problems.splits_of(spec, {spec["base"]: base})
        problems.write(self.path("data.h5"), splits, K)
        self.write("run.yaml", config(backbone, "data.h5", spec))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        advice = json.loads(self.run("advise", "run.yaml", "--json"))
        self.run("ladder", "run.yaml", "--quiet", "--overwrite")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = {**spec, "classes": K, "ladders": {}, "seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)}
        summary = self.read("run", "summary.json")
        record["rungs"] = {r["name"]: self.rung(r) for r in summary["rungs"]}
        summary_default = summary
        record["detectable"] = summary["design"]["detectable"][1]["difference"]
        for name, settings in RULES.items():
            if settings and not changes(name, summary_default):
                record["ladders"][name] = record["ladders"]["default"]
                continue
            if settings:
                self.run("ladder", "run.yaml", "--quiet", "--resume", *[w for s in settings for w in ("--set", s)])
                summary = self.read("run", "summary.json")
            record["ladders"][name] = self.ladder(summary)
        record["advise"] = {k: advice.get(k) for k in ("labels_per_class", "gap", "labels_row", "gap_row")}
        record["advise"]["probes"] = [[r["block"], r["right"], r["accuracy"]] for r in advice["probes"]]
        record["truth"] = self.truth(summary_default)
        return record

    def trials(self, rung):
        return [self.read(s["directory"], "summary.json") for s in rung["seeds"]]

    def truth(self, summary):
        """The same recipe with the rates that were found and other seeds, judged on many more samples than any gate has. A list has one rate,
        so where partial:1 and full differ in theirs, full gets a call of its own, which takes the other trials as they are."""
        rates = {r["name"]: r["rates"] for r in summary["rungs"]}
        settings = ["output=truth", "data.gate=truth", "data.class_slices=false", "seed=1001", f"ladder.seeds={TRUTH_SEEDS}", "ladder.resamples=100",
                    f"ladder.search_scratch=[{rates['scratch']['head']}]", f"ladder.search_head=[{rates['frozen']['head']}]",
                    f"ladder.search_adapter=[{rates['peft']['adapter']}]"]
        scores = {}
        for rung, how, more in (("partial:1", "--overwrite", []), ("full", "--resume", ["ladder.rungs=[full]"])):
            if scores and rates["full"]["backbone"] == rates["partial:1"]["backbone"]:
                continue
            more = settings + more + [f"ladder.search_backbone=[{rates[rung]['backbone']}]"]
            self.run("ladder", "run.yaml", "--quiet", how, *[w for s in more for w in ("--set", s)])
            for r in self.read("truth", "summary.json")["rungs"]:
                scores[r["name"]] = [round(t["gate"]["accuracy"], 5) for t in self.trials(r)]
        return scores

    def rung(self, r):
        trials = self.trials(r)
        return {"val": [round(t["val"]["accuracy"], 5) for t in trials], "gate": [round(t["gate"]["accuracy"], 5) for t in trials],
                "right": [self.right_bits(s["directory"]) for s in r["seeds"]],
                "trials": r["cost"]["trials"], "core_seconds": round(r["cost"]["core_seconds"], 3)}

    def right_bits(self, directory):
        """Which gate samples a trial got right, a bit each in their order: with these any other rule can be judged later."""
        with h5py.File(self.path(directory, "predictions-gate.h5")) as f:
            return base64.b64encode(np.packbits(f["score"][()] > 0.5).tobytes()).decode()

    @staticmethod
    def ladder(summary):
        def short(c, verdict):
            return {"a": c["a"], "b": c["b"], "verdict": c[verdict], "delta": round(c["delta"], 5), "low": round(c["low"], 5),
                    "high": round(c["high"], 5), "p": c["p_adjusted"], "reasons": c["reasons"]}
        return {"chosen": summary["chosen"], "depth": [short(c, "verdict") for c in summary["comparisons"]],
                "transfer": [short(c, "transfer_verdict") for c in summary["transfer_comparisons"]]}


def main():
    parser = argparse.ArgumentParser(prog="decide")
    parser.add_argument("--records", default="decide.jsonl")
    parser.add_argument("--problems", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", default="")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--cuts", action="store_true")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--keep")
    parser.add_argument("--backbones")
    options = parser.parse_args()
    records = decide_table.read(options.records)
    if options.table or options.cuts:
        if not records:
            sys.exit(f"decide: {options.records} has no records")
        print((decide_table.cuts if options.cuts else decide_table.table)(records))
        return
    part, parts = (int(word) for word in options.part.split("/"))
    order, first = list(range(options.problems)), part * options.problems // parts
    began = time.time()
    work = options.keep or tempfile.mkdtemp(prefix="thaw-decide-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.makedirs(work, exist_ok=True)
    try:
        shared = os.path.abspath(options.backbones or work)
        os.makedirs(shared, exist_ok=True)
        bench = Bench(os.path.abspath(options.build), work, shared)
        for index in order[first:] + order[:first]:
            spec = problems.describe(options.seed, index)
            if options.only not in f"{spec['base']} {spec['shift']}" or time.time() - began > options.seconds:
                continue
            # Read again each time: another process may write the same records.
            if (options.seed, index) in {(r["seed"], r["index"]) for r in decide_table.read(options.records)}:
                continue
            try:
                record = bench.solve(spec)
            except FileNotFoundError as error:
                if spec["base"] == "image" and "idx" in str(error):
                    print(f"decide: {error} (on Debian: apt-get install dataset-fashion-mnist)", file=sys.stderr)
                    sys.exit(77)
                raise
            with open(options.records, "a") as f:
                f.write(json.dumps(record) + "\n")
            print(f"{index} {spec['base']} {spec['shift']} {spec['labels']} labels: chosen {record['ladders']['default']['chosen']}, "
                  f"{time.time() - began:.0f} s", flush=True)
    except Failed as error:
        sys.exit(f"decide: {error}")
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
