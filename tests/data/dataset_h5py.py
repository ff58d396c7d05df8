"""Writes FOLDER/py.h5 as docs/dataset-format.md says, reads FOLDER/c.h5, and writes the digests of both, computed from the
same page, to FOLDER/digests. Exits with 77 when a module is missing."""

import sys

try:
    import h5py
    import numpy as np
    import xxhash
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)


def array_digest(array, dtype):
    data = np.ascontiguousarray(array[...] if hasattr(array, "id") else array).astype(dtype)
    return xxhash.xxh3_128(data.tobytes()).hexdigest()


def words(names):
    """h5py gives fixed-length texts, as ours are, as bytes, and its own as str."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def digest(path):
    with h5py.File(path) as f:
        splits = sorted(name for name in f if isinstance(f[name], h5py.Group))
        slices = sorted({name for split in splits for name in f[split].get("slices", {})})
        x = f[splits[0]]["x"]
        text = f"thaw-dataset 1\nsample ({', '.join(map(str, x.shape[1:]))}) {x.dtype}\n"
        text += "".join(f"class {name}\n" for name in words(f.attrs["classes"]))
        for name in ("mean", "std"):
            if name in f.attrs:
                text += f"{name} {array_digest(f.attrs[name], '<f8')}\n"
        for split in splits:
            group = f[split]
            text += f"split {split} {len(group['x'])}\n"
            for part, dtype in (("x", x.dtype), ("y", "<i4"), ("cluster", "<i4"), ("id", "<i8")):
                if part in group:
                    text += f"{part} {array_digest(group[part], dtype)}\n"
            for name in slices:
                there = name in group.get("slices", {})
                mask = group["slices"][name] if there else np.zeros(len(group["x"]))
                text += f"slice {name} mask {array_digest(mask, 'u1')}\n"
    return xxhash.xxh3_128(text.encode()).hexdigest()


folder = sys.argv[1]
x = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), dtype=np.uint8)
y = np.arange(20) % 2
with h5py.File(f"{folder}/py.h5", "w") as f:
    f.attrs["format"] = "thaw-dataset"
    f.attrs["version"] = 1
    f.attrs["task"] = "classification"
    f.attrs["classes"] = ["cat", "dog"]
    f.attrs["mean"] = x.mean(axis=(0, 2, 3)) / 255
    f.attrs["std"] = x.std(axis=(0, 2, 3)) / 255
    for name, rows in (("train", slice(0, 12)), ("val", slice(12, 20))):
        f[f"{name}/x"] = x[rows]
        f[f"{name}/y"] = y[rows].astype("int32")
        f[f"{name}/slices/dogs"] = y[rows] == 1
        f[f"{name}/slices/dogs"].attrs["description"] = "all dogs"

with open(f"{folder}/digests", "w") as out:
    out.write(digest(f"{folder}/py.h5") + digest(f"{folder}/c.h5"))
