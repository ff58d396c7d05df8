"""Writes weights of a small CIFAR ResNet in every form that `thaw backbone import` reads, and their values as .npz. Exits with 77 when
a module is missing."""

import json
import sys

try:
    import numpy as np
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

folder, tools = sys.argv[1:]
sys.path.insert(0, tools)
from golden_networks import Basic, ResNet  # noqa: E402

torch.manual_seed(3)
model = ResNet([3, 3, 3], Basic, 8, 1, 5, True)
state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
torch.save(state, f"{folder}/plain.pth")
torch.save({"epoch": 7, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, f"{folder}/wrapped.pth")
torch.save(state, f"{folder}/old.pth", _use_new_zipfile_serialization=False)
torch.save({name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, f"{folder}/double.pth")
save_file(state, f"{folder}/plain.safetensors")
names = sorted(state)
parts = {"p1.safetensors": names[:50], "p2.safetensors": names[50:]}
for part, of_part in parts.items():
    save_file({name: state[name] for name in of_part}, f"{folder}/{part}")
index = {"weight_map": {name: part for part, of_part in parts.items() for name in of_part}}
with open(f"{folder}/plain.safetensors.index.json", "w") as f:
    json.dump(index, f)
torch.save(torch.nn.Linear(2, 2), f"{folder}/whole.pth")
torch.save({**state, "more": torch.zeros(3)}, f"{folder}/more.pth")
torch.save(ResNet([3, 3, 3], Basic, 8, 3, 5, True).state_dict(), f"{folder}/colour.pth")
torch.save(ResNet([2, 2, 2, 2], Basic, 8, 3, 5, False).state_dict(), f"{folder}/resnet18.pth")
lite = {f"_blocks.{i}._{part}.weight": torch.zeros(1) for i in range(16) for part in ("bn1", "bn2")}
torch.save(lite, f"{folder}/lite.pth")
state["layer1.1.conv2.weight"][2, 1, 0, 2] = float("inf")
torch.save(state, f"{folder}/infinite.pth")
state.pop("layer2.1.bn1.weight")
save_file(state, f"{folder}/gap.safetensors")
