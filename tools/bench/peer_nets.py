"""The networks of tools/bench in PyTorch: the same layers as src/model, from torch alone.

layers(arch) gives [stem, blocks..., head]; split and split_parts what is frozen and what trains of it.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = 10
LORA_RANK, LORA_ALPHA = 8, 16.0
TOKENS = 30522


class BasicBlock(nn.Module):
    """Shortcut with a 1x1 convolution (ImageNet style) or padding (CIFAR style)."""

    def __init__(self, inputs, width, stride, cifar):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride
        self.grow = (width - inputs) // 2
        self.down = None
        if not cifar and stride != 1:
            self.down = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.down is not None:
            x = self.down(x)
        elif self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow, self.grow))
        return F.relu(y + x, inplace=True)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.down = None
        if stride != 1 or inputs != 4 * width:
            self.down = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        if self.down is not None:
            x = self.down(x)
        return F.relu(y + x, inplace=True)


def conv_norm(inputs, outputs, kernel, stride=1, groups=1, act=True):
    parts = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([nn.ReLU6(True)] if act else []))


class InvertedResidual(nn.Module):
    """EfficientNet-Lite's block: no squeeze and excitation, ReLU6."""

    def __init__(self, inputs, outputs, kernel, stride, expand):
        super().__init__()
        wide = inputs * expand
        self.body = nn.Sequential(
            *([conv_norm(inputs, wide, 1)] if expand > 1 else []),
            conv_norm(wide, wide, kernel, stride, groups=wide),
            conv_norm(wide, outputs, 1, act=False))
        self.same = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.body(x)
        return x + y if self.same else y


class Embedding(nn.Module):
    def __init__(self, D, positions):
        super().__init__()
        self.word = nn.Embedding(TOKENS, D)
        self.position = nn.Embedding(positions, D)
        self.kind = nn.Embedding(2, D)
        self.norm = nn.LayerNorm(D, eps=1e-12)

    def forward(self, ids):
        x = self.word(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0]
        return self.norm(x)


class Layer(nn.Module):
    """BERT's layer: attention and a GELU feed-forward part, each added and then normalised."""

    def __init__(self, D, heads, wide):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(D, D) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)
        self.up, self.down = nn.Linear(D, wide), nn.Linear(wide, D)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (f(x).view(B, T, self.heads, D // self.heads).transpose(1, 2) for f in (self.query, self.key, self.value))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.matmul(torch.softmax(torch.matmul(q, k.transpose(2, 3)) / math.sqrt(D // self.heads), -1), v)
        x = self.norm1(x + self.out(y.transpose(1, 2).reshape(B, T, D)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Patches(nn.Module):
    """Stem of a vision transformer: patches of 16 pixels as tokens behind a class token, and places."""

    def __init__(self, D, tokens):
        super().__init__()
        self.proj = nn.Conv2d(3, D, 16, 16)
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, D)), nn.Parameter(torch.randn(1, 1 + tokens, D))

    def forward(self, x):
        x = self.proj(x).flatten(2).transpose(1, 2)
        return torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.places


class PreNormLayer(nn.Module):
    """A layer of a vision transformer as timm computes it."""

    def __init__(self, D, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(D, eps=1e-6), nn.LayerNorm(D, eps=1e-6)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class LastNorm(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.norm = nn.LayerNorm(D, eps=1e-6)

    def forward(self, x):
        return self.norm(x[:, 0])


class Pooler(nn.Module):
    """The features: a layer with tanh on the first token."""

    def __init__(self, D):
        super().__init__()
        self.dense = nn.Linear(D, D)

    def forward(self, x):
        return torch.tanh(self.dense(x[:, 0]))


def resnet(arch, channels):
    if arch == "resnet20":
        stem = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True)]
        widths, depths = (16, 32, 64), (3, 3, 3)
    else:
        stem = [nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
        widths, depths = (64, 128, 256, 512), {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}[arch]
    blocks, inputs = [], widths[0]
    for stage, (width, depth) in enumerate(zip(widths, depths)):
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            if arch == "resnet50":
                blocks.append(Bottleneck(inputs, width, stride))
                inputs = 4 * width
            else:
                blocks.append(BasicBlock(inputs, width, stride, arch == "resnet20"))
                inputs = width
    return [nn.Sequential(*stem), *blocks], [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES)]


def efficientnet_lite0():
    stages = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
              (6, 3, 1, 320, 1))
    blocks, inputs = [], 32
    for expand, kernel, stride, outputs, depth in stages:
        for i in range(depth):
            blocks.append(InvertedResidual(inputs, outputs, kernel, stride if i == 0 else 1, expand))
            inputs = outputs
    blocks[-1] = nn.Sequential(blocks[-1], conv_norm(inputs, 1280, 1))
    return [conv_norm(3, 32, 3, 2), *blocks], [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, CLASSES)]


def minilm():
    """No padding in the input, so no mask; no dropout."""
    D = 384
    blocks = [Layer(D, 12, 4 * D) for _ in range(6)]
    blocks[-1] = nn.Sequential(blocks[-1], Pooler(D))
    return [Embedding(D, 512), *blocks], [nn.Linear(D, CLASSES)]


def vit(arch, side):
    D = {"vit_tiny_patch16_224": 192, "vit_small_patch16_224": 384, "vit_base_patch16_224": 768}[arch]
    blocks = [PreNormLayer(D, D // 64) for _ in range(12)]
    blocks[-1] = nn.Sequential(blocks[-1], LastNorm(D))
    return [Patches(D, (side // 16) ** 2), *blocks], [nn.Linear(D, CLASSES)]


def layers(arch, channels=3, side=224):
    """Stem, blocks, head."""
    if arch.startswith("vit_"):
        body, head = vit(arch, side)
        return [*body, nn.Sequential(*head)]
    body, head = minilm() if arch.startswith("minilm") else efficientnet_lite0() if arch.startswith("eff") else resnet(arch, channels)
    return [*body, nn.Sequential(*head)]


def named_tensors(arch, parts):
    """The parameters and buffers of a ResNet's body under the names of our files (torchvision's)."""
    depths = {"resnet20": (3, 3, 3), "resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}[arch]
    prefixes = [f"layer{stage + 1}.{i}" for stage, depth in enumerate(depths) for i in range(depth)]
    for prefix, part in zip(["", *prefixes], parts[:-1]):
        for name, tensor in part.state_dict(keep_vars=True).items():
            if name.endswith("num_batches_tracked"):
                continue
            if prefix == "":
                name = name.replace("0.", "conv1.", 1) if name.startswith("0.") else name.replace("1.", "bn1.", 1)
            yield (f"{prefix}." if prefix else "") + name.replace("down.", "downsample."), tensor


class Lora(nn.Module):
    """A frozen layer and a trained product of two small ones beside it (Hu et al. 2021, arXiv:2106.09685)."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        if isinstance(base, nn.Linear):
            self.A = nn.Linear(base.in_features, LORA_RANK, bias=False)
            self.B = nn.Linear(LORA_RANK, base.out_features, bias=False)
        else:
            self.A = nn.Conv2d(base.in_channels, LORA_RANK, base.kernel_size, base.stride, base.padding, bias=False)
            self.B = nn.Conv2d(LORA_RANK, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.B.weight)

    def forward(self, x):
        return self.base(x) + LORA_ALPHA / LORA_RANK * self.B(self.A(x))


class Adapted(nn.Sequential):
    """Its body stays in evaluation mode: frozen batch norms keep their statistics."""

    def train(self, mode=True):
        super().train(mode)
        self[0].eval()
        return self


def lora(parts):
    body = nn.Sequential(*parts[:-1]).requires_grad_(False)
    only = ["qkv"] if any(name.endswith("qkv") for name, _ in body.named_modules()) else []  # of vision transformers
    for module in list(body.modules()):
        for name, child in list(module.named_children()):
            if only and name not in only:
                continue
            plain = isinstance(child, nn.Linear) or (isinstance(child, nn.Conv2d) and child.groups == 1)
            if plain and not isinstance(module, Lora):
                setattr(module, name, Lora(child))
    return Adapted(body, parts[-1])


def split(arch, rung, side=224):
    return split_parts(layers(arch, side=side), rung)


def split_parts(parts, rung):
    """What is frozen (or None) and what trains."""
    if rung == "lora":
        return None, lora(parts)
    trained = {"full": len(parts), "frozen": 1}.get(rung) or 1 + int(rung.split(":")[1])
    if rung == "frozen":
        # What stands before the linear layer has no parameters; run with the frozen part, it needs no backward.
        *pool, linear = parts[-1]
        return nn.Sequential(*parts[:-1], *pool), nn.Sequential(linear)
    frozen = nn.Sequential(*parts[:-trained]) if trained < len(parts) else None
    return frozen, nn.Sequential(*parts[-trained:])


def random_input(arch, side, batch):
    if arch.startswith("minilm"):
        return torch.randint(0, TOKENS, (batch, side))
    return torch.randn(batch, 3, side, side)
