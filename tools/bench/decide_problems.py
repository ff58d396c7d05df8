"""The transfer problems of tools/bench/decide. Problem I of a seed is the same on every machine: what it is follows from (seed, I), the pixels
from Fashion-MNIST, everything else from numpy's PCG64.

Three kinds of shift between source and target, after Lee et al. 2023 (arXiv:2210.11466): of the input (the same classes, other pixels), of the
features (other classes than the source's, or another second layer), of the labels (the same inputs, another question). `mixed` has two of
them and wrong labels; `negative` reuses a backbone that has learned random labels by heart; in `null` the labels are coins, so that no rung
can be better than another. Each on pictures and on synthetic inputs with a teacher network of two layers."""
import gzip
import os

import numpy as np

SIDE = 14  # Fashion-MNIST, averaged over 2 x 2 pixels
INPUTS, HIDDEN = 32, 64  # of the synthetic problems
SOURCE_EACH, SOURCE_VAL = 1000, 100  # pictures a class
TRUTH = 3000

# Each turn goes once through these; the order keeps a run that was cut short balanced.
TURN = [("image", "label"), ("made", "input"), ("image", "feature"), ("made", "null"), ("image", "input"),
        ("made", "label"), ("image", "mixed"), ("made", "feature"), ("image", "negative"), ("image", "input"),
        ("made", "negative"), ("image", "null"), ("image", "feature"), ("made", "mixed"), ("image", "label")]
LABELS = [100, 20, 500, 50, 1000, 200, 2000, 50, 200, 500, 100, 5000, 20, 500, 1000, 100, 2000, 200, 50, 20000]
GATES = [500, 200, 2000]


def generator(*words):
    return np.random.Generator(np.random.PCG64([w if isinstance(w, int) else int.from_bytes(w.encode(), "little") for w in words]))


def describe(seed, index):
    """What problem `index` is, without its data."""
    g = generator(seed, index, "spec")
    base, shift = TURN[index % len(TURN)]
    n = LABELS[(index * 7 + index // len(TURN)) % len(LABELS)]
    p = {"index": index, "seed": seed, "base": base, "shift": shift, "labels": n, "gate": GATES[int(g.integers(3))],
         "val": max(20, min(n // 2, 1000)), "strength": round(float(g.uniform(0.1, 1)), 2),
         "noise": float(g.choice([0, 0, 0.1, 0.3])), "twist": "", "source": "ten"}
    if shift == "mixed":
        p["noise"] = float(g.choice([0.1, 0.2, 0.3]))
    if base == "made":
        p["source"] = f"teacher{int(g.integers(3))}"
    elif shift in ("feature", "mixed"):
        p["source"] = str(g.choice(["low", "high"]))
    if shift in ("input", "mixed", "negative"):
        p["twist"] = str(g.choice(["invert", "turn", "noise", "blur", "dim", "cover", "shuffle"])) if base == "image" else "mix"
    if shift == "negative":
        p["source"] = "heart" if base == "image" else "teacherheart"
    return p


def sources():
    return ["ten", "low", "high", "heart", "teacher0", "teacher1", "teacher2", "teacherheart"]


class Images:
    """All 70,000 pictures by class, in an order of their own; a source takes the first of each class, targets the others."""

    def __init__(self):
        folder = os.environ.get("THAW_FASHION_MNIST", "/usr/share/datasets/fashion-mnist")
        x, y = [], []
        for part in ("train", "t10k"):
            with gzip.open(f"{folder}/{part}-images-idx3-ubyte.gz") as f:
                x.append(np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)))
            with gzip.open(f"{folder}/{part}-labels-idx1-ubyte.gz") as f:
                y.append(np.frombuffer(f.read(), np.uint8, offset=8))
        x, y = np.concatenate(x).round().astype(np.uint8), np.concatenate(y)
        order = generator(0, "pictures").permutation(len(y))
        self.of = [x[order[y[order] == k]] for k in range(10)]

    def source(self, name):
        classes = {"low": range(5), "high": range(5, 10)}.get(name, range(10))
        parts = {}
        for split, first, last in (("train", 0, SOURCE_EACH), ("val", SOURCE_EACH, SOURCE_EACH + SOURCE_VAL)):
            x = np.concatenate([self.of[k][first:last] for k in classes])
            y = np.repeat(np.arange(len(classes)), last - first)
            if name == "heart":
                y = generator(0, "heart", split).permutation(y)
            parts[split] = (x, y)
        return parts, len(classes)

    def twist(self, x, p, g):
        kind, s = p["twist"], p["strength"]
        f = x.astype(np.float32)
        if kind == "invert":
            f = (1 - s) * f + s * (255 - f)
        elif kind == "turn":
            f = np.rot90(f, 1 + int(3 * s) % 3, axes=(1, 2))
        elif kind == "noise":
            f = f + g.normal(0, 200 * s, f.shape)
        elif kind == "blur":
            for _ in range(1 + int(5 * s)):
                f = (f + np.roll(f, 1, 1) + np.roll(f, 1, 2) + np.roll(f, -1, 1) + np.roll(f, -1, 2)) / 5
        elif kind == "dim":
            f = 128 + (f - 128) * (1 - 0.9 * s)
        elif kind == "cover":
            f[:, :, : int(SIDE * 0.7 * s) + 1] = 0
        elif kind == "shuffle":
            move = np.arange(SIDE * SIDE)
            some = generator(p["seed"], p["index"], "move").permutation(SIDE * SIDE)[: int(s * SIDE * SIDE)]
            move[np.sort(some)] = some
            f = f.reshape(len(f), -1)[:, move].reshape(f.shape)
        return np.clip(f.round(), 0, 255).astype(np.uint8)

    def target(self, p, count):
        """`count` pictures in a random order, with their labels and the number of classes."""
        g = generator(p["seed"], p["index"], "data")
        classes = {"low": range(5, 10), "high": range(5)}.get(p["source"], range(10))
        if p["labels"] == 20000:
            classes = range(10)  # five classes have too few pictures
        pool = [self.of[k][SOURCE_EACH + SOURCE_VAL:] for k in classes]
        rows = np.concatenate([np.stack([np.full(len(part), i), np.arange(len(part))], 1) for i, part in enumerate(pool)])
        rows = rows[g.permutation(len(rows))[:count]]
        x = np.stack([pool[i][j] for i, j in rows])
        y = rows[:, 0]
        if p["shift"] == "label":  # classes joined at random: a question that the source did not ask
            merged = g.permutation(len(pool)) % int(g.integers(2, 6))
            y = merged[y]
        if p["twist"]:
            x = self.twist(x, p, g)
        return x, y, int(y.max()) + 1, g


class Made:
    """Gaussian inputs; labels from a teacher of two layers of relu."""

    def teacher(self, name):
        g = generator(0, name)
        return (g.normal(0, INPUTS ** -0.5, (INPUTS, HIDDEN)), g.normal(0, (HIDDEN / 2) ** -0.5, (HIDDEN, HIDDEN)),
                g.normal(0, 1, (HIDDEN, 10)))

    def label(self, x, layers):
        first, second, last = layers
        h = np.maximum(np.maximum(x @ first, 0) @ second, 0)
        scores = h @ last
        return ((scores - scores.mean(0)) / scores.std(0)).argmax(1)

    def source(self, name):
        g = generator(0, name, "source")
        x = g.normal(0, 1, (22000, INPUTS))
        y = self.label(x, self.teacher(name))
        if name == "teacherheart":
            y = g.permutation(y)
        return {"train": (x[:20000], y[:20000]), "val": (x[20000:], y[20000:])}, 10

    def target(self, p, count):
        g = generator(p["seed"], p["index"], "data")
        first, second, last = self.teacher(p["source"] if p["shift"] != "negative" else "teacher0")
        s, K = p["strength"], 10
        x = g.normal(0, 1, (count, INPUTS))
        if p["shift"] in ("feature", "mixed"):
            other = g.normal(0, (HIDDEN / 2) ** -0.5, second.shape)
            second = (1 - s) * second + s * other
        if p["shift"] in ("label", "feature", "mixed"):
            K = int(g.integers(2, 8))
            last = g.normal(0, 1, (HIDDEN, K))
        y = self.label(x, (first, second, last))
        if p["twist"]:  # what the backbone sees is the teacher's input, mixed by a matrix
            mix = g.normal(0, INPUTS ** -0.5, (INPUTS, INPUTS))
            x = x @ ((1 - s) * np.eye(INPUTS) + s * mix)
        return x, y, K, g


def splits_of(p, bases):
    """The four splits of a problem and its classes: train with every class, the others as they are drawn."""
    sizes = {"train": p["labels"], "val": p["val"], "gate": p["gate"], "truth": TRUTH}
    x, y, K, g = bases[p["base"]].target(p, sum(sizes.values()))
    if p["shift"] == "null":
        y = g.integers(0, K, len(y))
    else:
        wrong = g.random(len(y)) < p["noise"]
        y = np.where(wrong, g.integers(0, K, len(y)), y)
    # Train begins with two samples of every class; the rest, and all other splits, are draws.
    first = np.concatenate([np.flatnonzero(y == k)[:2] for k in range(K)])
    rest = np.setdiff1d(np.arange(len(y)), first)
    order = np.concatenate([first, rest])
    out, at = {}, 0
    for name, size in sizes.items():
        out[name] = (x[order[at:at + size]], y[order[at:at + size]])
        at += size
    return out, K


def write(path, splits, K):
    import h5py
    x = splits["train"][0]
    with h5py.File(path, "w") as f:
        f.attrs["format"], f.attrs["version"], f.attrs["task"] = "thaw-dataset", 1, "classification"
        f.attrs["classes"] = [f"c{k}" for k in range(K)]
        if x.dtype == np.uint8:
            f.attrs["mean"], f.attrs["std"] = [x.mean() / 255], [max(x.std() / 255, 1e-3)]
        for name, (a, y) in splits.items():
            f[f"{name}/x"] = a[:, None] if a.ndim == 3 else a.astype(np.float32)
            f[f"{name}/y"] = y.astype(np.int32)
