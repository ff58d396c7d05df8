"""export_peers.py GENERATOR FOLDER: loads what test_export.sh exported into PyTorch modules and compares with `thaw predict`."""

import csv
import importlib.machinery
import importlib.util
import sys

import h5py
import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file

generator, folder = sys.argv[1:]
loader = importlib.machinery.SourceFileLoader("golden", generator)
golden = importlib.util.module_from_spec(importlib.util.spec_from_loader("golden", loader))
loader.exec_module(golden)


def network(classes=3):
    return golden.ResNet([3, 3, 3], golden.Basic, 4, 1, classes, True)


def samples():
    with h5py.File(f"{folder}/target.h5") as f:
        x = f["val/x"][...].astype(np.float32) / (255 if f["val/x"].dtype == np.uint8 else 1)
    with h5py.File(f"{folder}/backbone.h5") as f:
        mean, std = f["input/mean"][...], f["input/std"][...]
    return torch.tensor((x - mean[:, None, None]) / std[:, None, None], dtype=torch.float32)


def predicted(name):
    with open(f"{folder}/{name}.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    columns = ("ash", "birch", "cedar")
    return torch.tensor([[float(row[c]) for c in columns] for row in rows])


def compare(what, model, name):
    model.eval()
    with torch.no_grad():
        found = torch.softmax(model(samples()), 1)
    worst = (found - predicted(name)).abs().max().item()
    print(f"{what}: largest difference of a probability {worst:.2e}")
    assert worst < 1e-4, what


full = network()
full.load_state_dict(load_file(f"{folder}/full.safetensors"), strict=True)
compare("full", full, "full")

merged = network()
merged.load_state_dict(load_file(f"{folder}/merged.safetensors"), strict=True)
compare("merged lora", merged, "lora")

with h5py.File(f"{folder}/backbone.h5") as f:
    base = {name: torch.tensor(item[...]) for name, item in f["backbone"].items()}
for name, predictions in (("adapter", "lora"), ("dora-adapter", "dora"), ("rslora-adapter", "rslora"), ("ia3-adapter", "ia3")):
    moved = [(t - 1 if "ia3" in key else t).abs().max().item()
             for key, t in load_file(f"{folder}/{name}/adapter_model.safetensors").items() if "lora_B" in key or "ia3_l" in key]
    assert moved and min(moved) > 1e-4, f"{name} did not train"
    plain = network()
    missing, unexpected = plain.load_state_dict(base, strict=False)
    assert not unexpected and all(key.startswith("fc.") or "num_batches" in key for key in missing), (missing, unexpected)
    compare(f"PEFT's {predictions}", PeftModel.from_pretrained(plain, f"{folder}/{name}"), predictions)
