"""export_peers.py TOOLS FOLDER load|make|compare, for test_export.sh, on the predictions of `thaw predict`:
load what was exported into PyTorch modules and compare; make an adapter with PEFT; compare it with the run that went on from it."""

import csv
import sys

import h5py
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

tools, folder, action = sys.argv[1:]
sys.path.insert(0, tools)
from golden_networks import Basic, ResNet  # noqa: E402


def network(classes=3):
    return ResNet([3, 3, 3], Basic, 4, 1, classes, True)


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


def two_layers():
    return torch.nn.Sequential(torch.nn.Linear(16, 6), torch.nn.GELU(), torch.nn.Linear(6, 3))


def with_backbone():
    with h5py.File(f"{folder}/backbone.h5") as f:
        base = {name: torch.tensor(item[...]) for name, item in f["backbone"].items()}
    model = network()
    missing, unexpected = model.load_state_dict(base, strict=False)
    assert not unexpected and all(key.startswith("fc.") or "num_batches" in key for key in missing), (missing, unexpected)
    return model


def load():
    for name, predictions in (("full", "full"), ("merged", "lora")):
        model = network()
        model.load_state_dict(load_file(f"{folder}/{name}.safetensors"), strict=True)
        compare(f"{name}, loaded strictly", model, predictions)
    model = network()
    model.fc = two_layers()
    model.load_state_dict(load_file(f"{folder}/two.safetensors"), strict=True)
    compare("a head of two layers, loaded strictly", model, "two")
    model = with_backbone()
    model.fc = two_layers()
    compare("PEFT's with a head of two layers", PeftModel.from_pretrained(model, f"{folder}/two-adapter"), "two")
    for name, predictions in (("adapter", "lora"), ("dora-adapter", "dora"), ("rslora-adapter", "rslora"), ("ia3-adapter", "ia3")):
        moved = [(t - 1 if "ia3" in key else t).abs().max().item()
                 for key, t in load_file(f"{folder}/{name}/adapter_model.safetensors").items() if "lora_B" in key or "ia3_l" in key]
        assert moved and min(moved) > 1e-4, f"{name} did not train"
        compare(f"PEFT's {predictions}", PeftModel.from_pretrained(with_backbone(), f"{folder}/{name}"), predictions)


def make():
    torch.manual_seed(1)
    targets = [f"layer2.{i}.conv2" for i in range(3)] + ["layer3.1.conv1"]
    config = LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=targets, modules_to_save=["fc"], init_lora_weights=False)
    get_peft_model(with_backbone(), config).save_pretrained(f"{folder}/made")


if action == "load":
    load()
elif action == "make":
    make()
else:
    compare("an adapter that PEFT made", PeftModel.from_pretrained(with_backbone(), f"{folder}/made"), "made")
