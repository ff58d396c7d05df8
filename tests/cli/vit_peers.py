"""vit_peers.py TOOLS make|compare, for test_vit_peers.sh: writes weights of small vision transformers as transformers and timm name them;
loads what was exported into transformers, PEFT and the network of golden_networks.py, and compares with `thaw predict`."""

import csv
import os
import sys

import h5py
import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

tools, action = sys.argv[1:]
sys.path.insert(0, tools)
sys.dont_write_bytecode = True
from golden_networks import HfVit, Vit  # noqa: E402

D, SIZE, PATCH = 192, 12, 4
CONFIG = ViTConfig(hidden_size=D, num_attention_heads=3, intermediate_size=4 * D, image_size=SIZE, patch_size=PATCH, num_channels=1, num_labels=3)


def timm_network():
    model = Vit(D, 1, (SIZE // PATCH, SIZE // PATCH), 3, False)
    model.patch_embed["proj"] = nn.Conv2d(1, D, PATCH, PATCH)
    model.head = model.fc
    del model.fc
    model.fc = lambda x: model.head(x)
    return model


class FileNames(nn.Module):
    """Modules as transformers 4 names them, as files do."""
    def __init__(self):
        super().__init__()
        self.vit = HfVit(D, 1, (SIZE // PATCH, SIZE // PATCH), 3)
        self.vit.embeddings.patch_embeddings["projection"] = nn.Conv2d(1, D, PATCH, PATCH)
        self.classifier = self.vit.fc
        self.vit.fc = nn.Identity()

    def forward(self, x):
        return self.classifier(self.vit(x))


def samples():
    with h5py.File("target.h5") as f:
        x = f["val/x"][...].astype(np.float32) / (255 if f["val/x"].dtype == np.uint8 else 1)
    return torch.tensor((x - 0.5) / 0.25, dtype=torch.float32)


def compare(what, logits, name):
    with open(f"{name}.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    expected = torch.tensor([[float(row[c]) for c in ("ash", "birch", "cedar")] for row in rows])
    worst = (torch.softmax(logits, 1) - expected).abs().max().item()
    print(f"{what}: largest difference of a probability {worst:.2e}")
    assert worst < 1e-4, what


def make():
    torch.manual_seed(3)
    model = ViTForImageClassification(CONFIG)
    model.save_pretrained("hf")
    # By names in memory, which are the files' own before transformers 5.
    torch.save(model.state_dict(), "hf/state.pt")
    torch.save(model.vit.state_dict(), "hf/body.pt")
    model = timm_network()
    with torch.no_grad():
        for p in (model.cls_token, model.pos_embed):
            p.normal_(0, 0.5)
    save_file(model.state_dict(), "timm.safetensors")


@torch.no_grad()
def check():
    x = samples()
    for name in ("hf-full", "hf-peft"):
        folder = f"{name}-export"
        CONFIG.save_pretrained(folder)
        model, info = ViTForImageClassification.from_pretrained(folder, output_loading_info=True)
        assert not any(info.values()), info
        compare(f"transformers, {name}", model.eval()(pixel_values=x).logits, name)
    model = timm_network()
    model.load_state_dict(load_file("timm-full.safetensors"), strict=True)
    compare("timm's names, loaded strictly", model.eval()(x), "timm-full")
    base = FileNames()
    base.load_state_dict(load_file("hf/model.safetensors"), strict=True)
    adapted = PeftModel.from_pretrained(base, "adapter")
    names = [n for n, _ in adapted.named_parameters() if "lora_A" in n]
    assert len(names) == 24 and all("query" in n or "value" in n for n in names), names
    compare("PEFT", adapted.eval()(x), "hf-peft")
    # As transformers 5 has it in memory.
    base = ViTForImageClassification(CONFIG)
    base.load_state_dict(torch.load("hf/state.pt"), strict=True)
    adapted = PeftModel.from_pretrained(base, "adapter-memory")
    names = [n for n, _ in adapted.named_parameters() if "lora_A" in n]
    assert len(names) == 24 and all("q_proj" in n or "v_proj" in n for n in names), names
    compare("PEFT on transformers' own", adapted.eval()(pixel_values=x).logits, "hf-peft")


os.environ["HF_HUB_OFFLINE"] = "1"
make() if action == "make" else check()
