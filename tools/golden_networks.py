"""Networks and PEFT methods that tools/gen-golden writes golden files with, in plain PyTorch."""
import math

import torch
from torch import nn
from torch.nn import functional as F

TOKENS = 30522  # vocabulary of the berts


# ---- Networks ----

def conv(i, o, k, stride=1):
    return nn.Conv2d(i, o, k, stride, (k - 1) // 2, bias=False)


class Basic(nn.Module):
    def __init__(self, i, o, stride, option_a):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3), nn.BatchNorm2d(o)
        self.pad = (o - i) // 2 if option_a and i != o else 0
        self.downsample = None
        if not option_a and (stride != 1 or i != o):
            self.downsample = nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class Bottleneck(nn.Module):
    def __init__(self, i, o, stride, _):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 1), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3, stride), nn.BatchNorm2d(o)
        self.conv3, self.bn3 = conv(o, 4 * o, 1), nn.BatchNorm2d(4 * o)
        self.downsample = None
        if stride != 1 or i != 4 * o:
            self.downsample = nn.Sequential(conv(i, 4 * o, 1, stride), nn.BatchNorm2d(4 * o))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, block, width, channels, classes, cifar):
        super().__init__()
        self.conv1 = conv(channels, width, 3) if cifar else nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.Identity() if cifar else nn.MaxPool2d(3, 2, 1)
        grow = 4 if block is Bottleneck else 1
        i = width
        for stage, count in enumerate(blocks):
            layers = []
            for b in range(count):
                o = width << stage
                layers.append(block(i, o, 2 if stage and not b else 1, cifar))
                i = o * grow
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.fc = nn.Linear(i, classes)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class MLP(nn.Module):
    def __init__(self, inputs, hidden, classes):
        super().__init__()
        sizes = [inputs] + hidden
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.fc = nn.Linear(sizes[-1], classes)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.fc(x)


class Separable(nn.Module):
    def __init__(self, i, o, kernel, stride):
        super().__init__()
        self.conv_dw, self.bn1 = nn.Conv2d(i, i, kernel, stride, kernel // 2, groups=i, bias=False), nn.BatchNorm2d(i)
        self.conv_pw, self.bn2 = conv(i, o, 1), nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class Inverted(nn.Module):
    def __init__(self, i, o, kernel, stride, expand):
        super().__init__()
        wide = i * expand
        self.conv_pw, self.bn1 = conv(i, wide, 1), nn.BatchNorm2d(wide)
        self.conv_dw = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv_pwl, self.bn3 = conv(wide, o, 1), nn.BatchNorm2d(o)
        self.skip = stride == 1 and i == o

    def forward(self, x):
        y = F.relu6(self.bn2(self.conv_dw(F.relu6(self.bn1(self.conv_pw(x))))))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.skip else y


class EfficientNet(nn.Module):
    """Lite0; of Lite1 and Lite2 depth and width are factors of blocks a stage (but the first and last) and of channels."""

    def __init__(self, channels, classes, depth=1.0, width=1.0):
        super().__init__()
        self.conv_stem, self.bn1 = conv(channels, 32, 3, 2), nn.BatchNorm2d(32)
        stages, i = [], 32
        for count, kernel, stride, expand, o in ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
                                                 (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)):
            stage = []
            if o not in (16, 320):
                count = math.ceil(count * depth)
            o = max(8, int(o * width + 4) // 8 * 8)
            for b in range(count):
                s = 1 if b else stride
                stage.append(Separable(i, o, kernel, s) if expand == 1 else Inverted(i, o, kernel, s, expand))
                i = o
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = conv(i, 1280, 1), nn.BatchNorm2d(1280)
        self.fc = nn.Linear(1280, classes)

    def forward(self, x):
        x = self.blocks(F.relu6(self.bn1(self.conv_stem(x))))
        return self.fc(F.relu6(self.bn2(self.conv_head(x))).mean((2, 3)))


class SameConv(nn.Conv2d):
    """TensorFlow's "SAME" at stride 2: the odd pixel at the end."""

    def forward(self, x):
        border = []
        for size, kernel in zip(reversed(x.shape[2:]), reversed(self.kernel_size)):
            total = ((size + 1) // 2 - 1) * 2 + kernel - size
            border += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, border), self.weight, None, self.stride, 0, 1, self.groups)


def as_in_tensorflow(model):
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.stride[0] == 2:
            module.__class__ = SameConv
        elif isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 0.01
    return model


class MobileBlock(nn.Module):
    def __init__(self, i, o, stride, expand):
        super().__init__()
        def unit(a, b, kernel, step, groups):
            return nn.Sequential(nn.Conv2d(a, b, kernel, step, kernel // 2, groups=groups, bias=False),
                                 nn.BatchNorm2d(b), nn.ReLU6())
        wide = i * expand
        layers = [unit(i, wide, 1, 1, 1)] if expand != 1 else []
        layers += [unit(wide, wide, 3, stride, wide), conv(wide, o, 1), nn.BatchNorm2d(o)]
        self.conv = nn.Sequential(*layers)
        self.skip = stride == 1 and i == o

    def forward(self, x):
        return self.conv(x) + x if self.skip else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        features, i = [nn.Sequential(conv(channels, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU6())], 32
        for expand, o, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                         (6, 160, 3, 2), (6, 320, 1, 1)):
            for b in range(count):
                features.append(MobileBlock(i, o, 1 if b else stride, expand))
                i = o
        features.append(nn.Sequential(conv(i, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU6()))
        self.features = nn.Sequential(*features)
        self.fc = nn.Linear(1280, classes)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class BertLayer(nn.Module):
    """One layer with Hugging Face's names."""
    def __init__(self, D, heads):
        super().__init__()
        def named(**parts):
            return nn.ModuleDict(parts)
        self.heads = heads
        self.attention = named(
            self=named(query=nn.Linear(D, D), key=nn.Linear(D, D), value=nn.Linear(D, D)),
            output=named(dense=nn.Linear(D, D), LayerNorm=nn.LayerNorm(D, eps=1e-12)))
        self.intermediate = named(dense=nn.Linear(D, 4 * D))
        self.output = named(dense=nn.Linear(4 * D, D), LayerNorm=nn.LayerNorm(D, eps=1e-12))

    def forward(self, x, mask):
        B, T, D = x.shape
        q, k, v = (heads_of(self.attention["self"][n](x), self.heads) for n in ("query", "key", "value"))
        mask = F.pad(mask, (k.shape[2] - T, 0))  # a prefix is no padding
        scores = q @ k.transpose(2, 3) / math.sqrt(D // self.heads)
        y = scores.masked_fill(mask[:, None, None, :], -math.inf).softmax(-1) @ v
        out = self.attention["output"]
        x = out["LayerNorm"](x + out["dense"](y.transpose(1, 2).reshape(B, T, D)))
        y = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](x + y)


class Bert(nn.Module):
    def __init__(self, layers, D, heads, classes):
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(TOKENS, D, padding_idx=0), "position_embeddings": nn.Embedding(512, D),
            "token_type_embeddings": nn.Embedding(2, D), "LayerNorm": nn.LayerNorm(D, eps=1e-12)})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertLayer(D, heads) for _ in range(layers))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(D, D)})
        self.fc = nn.Linear(D, classes)
        self.first = 0  # place of the first token

    def forward(self, ids):
        e = self.embeddings
        x = e["word_embeddings"](ids) + e["position_embeddings"](self.first + torch.arange(ids.shape[1]))
        x = e["LayerNorm"](x + e["token_type_embeddings"](torch.zeros_like(ids)))
        for layer in self.encoder["layer"]:
            x = layer(x, ids == 0)
        return self.fc(torch.tanh(self.pooler["dense"](x[:, 0])))


def heads_of(x, count):
    """(B, T, D) to (B, heads, T, D / heads)"""
    return x.unflatten(2, (count, -1)).transpose(1, 2)


class VitLayer(nn.Module):
    """One layer under timm's names: norms before, query, key and value in one."""
    def __init__(self, D):
        super().__init__()
        self.heads = D // 64
        self.norm1, self.norm2 = nn.LayerNorm(D, eps=1e-6), nn.LayerNorm(D, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})

    def forward(self, x):
        q, k, v = (heads_of(part, self.heads) for part in self.attn["qkv"](self.norm1(x)).chunk(3, 2))
        y = (q @ k.transpose(2, 3) / 8.0).softmax(-1) @ v
        x = x + self.attn["proj"](y.transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Vit(nn.Module):
    """mean: the features are the mean of the patches behind the norm."""
    def __init__(self, D, channels, grid, classes, mean):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid[0] * grid[1], D))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, D, 16, 16)})
        self.blocks = nn.ModuleList(VitLayer(D) for _ in range(12))
        self.norm, self.fc, self.mean = nn.LayerNorm(D, eps=1e-6), nn.Linear(D, classes), mean

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.fc(x[:, 1:].mean(1) if self.mean else x[:, 0])


class HfVitLayer(nn.Module):
    """The same under the names of Hugging Face's files."""
    def __init__(self, D):
        super().__init__()
        def dense(i, o):
            return nn.ModuleDict({"dense": nn.Linear(i, o)})
        self.heads = D // 64
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)
        parts = nn.ModuleDict({n: nn.Linear(D, D) for n in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"attention": parts, "output": dense(D, D)})
        self.intermediate, self.output = dense(D, 4 * D), dense(4 * D, D)

    def forward(self, x):
        y, parts = self.layernorm_before(x), self.attention["attention"]
        q, k, v = (heads_of(parts[n](y), self.heads) for n in ("query", "key", "value"))
        y = (q @ k.transpose(2, 3) / 8.0).softmax(-1) @ v
        x = x + self.attention["output"]["dense"](y.transpose(1, 2).flatten(2))
        return x + self.output["dense"](F.gelu(self.intermediate["dense"](self.layernorm_after(x))))


class HfEmbeddings(nn.Module):
    def __init__(self, D, channels, grid):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 1 + grid[0] * grid[1], D))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(channels, D, 16, 16)})

    def forward(self, x):
        x = self.patch_embeddings["projection"](x).flatten(2).transpose(1, 2)
        return torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1) + self.position_embeddings


class HfVit(nn.Module):
    def __init__(self, D, channels, grid, classes):
        super().__init__()
        self.embeddings = HfEmbeddings(D, channels, grid)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(HfVitLayer(D) for _ in range(12))})
        self.layernorm, self.fc = nn.LayerNorm(D, eps=1e-12), nn.Linear(D, classes)

    def forward(self, x):
        x = self.embeddings(x)
        for layer in self.encoder["layer"]:
            x = layer(x)
        return self.fc(self.layernorm(x)[:, 0])


class TransformersVit(nn.Module):
    """transformers' own network; its parameters have the names of its files, whatever this version calls them."""
    FILE_NAMES = (("vit.layers.", "encoder.layer."), ("attention.q_proj", "attention.attention.query"),
                  ("attention.k_proj", "attention.attention.key"), ("attention.v_proj", "attention.attention.value"),
                  ("attention.o_proj", "attention.output.dense"), ("mlp.fc1", "intermediate.dense"),
                  ("mlp.fc2", "output.dense"), ("vit.", ""), ("classifier.", "fc."))

    def __init__(self, D, channels, size, classes):
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification
        self.net = ViTForImageClassification(ViTConfig(
            hidden_size=D, num_attention_heads=D // 64, intermediate_size=4 * D, image_size=size,
            num_channels=channels, num_labels=classes))

    def named_parameters(self, *arguments, **options):
        for name, tensor in self.net.named_parameters(*arguments, **options):
            for theirs, ours in self.FILE_NAMES:
                name = name.replace(theirs, ours)
            yield name, tensor

    def forward(self, x):
        return self.net(pixel_values=x).logits


class TransformersText(nn.Module):
    """transformers' own networks with their heads of two layers; parameters have our names."""
    NAMES = (("roberta.", ""), ("distilbert.", ""), ("pre_classifier.", "PRE."), ("classifier.dense.", "pooler.dense."),
             ("classifier.out_proj.", "fc."), ("classifier.", "fc."), ("PRE.", "pre_classifier."))

    def __init__(self, family, layers, D, heads, classes):
        super().__init__()
        import transformers as t
        if family == "roberta":
            self.net = t.RobertaForSequenceClassification(t.RobertaConfig(
                vocab_size=50265, hidden_size=D, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * D,
                max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, num_labels=classes,
                hidden_dropout_prob=0, attention_probs_dropout_prob=0))
        else:
            self.net = t.DistilBertForSequenceClassification(t.DistilBertConfig(
                dim=D, n_layers=layers, n_heads=heads, hidden_dim=4 * D, num_labels=classes, dropout=0, attention_dropout=0,
                seq_classif_dropout=0))
        self.pad = self.net.config.pad_token_id

    def named_parameters(self, *arguments, **options):
        for name, tensor in self.net.named_parameters(*arguments, **options):
            for theirs, ours in self.NAMES:
                name = name.replace(theirs, ours)
            yield name, tensor

    def named_buffers(self, *arguments, **options):
        return iter(())  # numbers of places

    def forward(self, x):
        return self.net(input_ids=x, attention_mask=(x != self.pad).long()).logits


class LoraLinear(nn.Linear):
    """The same on a linear layer."""
    def attach(self, rank):
        self.lora_A = nn.Linear(self.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, self.out_features, bias=False)

    def forward(self, x):
        return super().forward(x) + 2.0 * self.lora_B(self.lora_A(x))


class LoraConv(nn.Conv2d):
    """Hugging Face PEFT's LoRA on a convolution; alpha = 2 rank."""
    def attach(self, rank):
        self.lora_A = nn.Conv2d(self.in_channels, rank, self.kernel_size, self.stride, self.padding, bias=False)
        self.lora_B = nn.Conv2d(rank, self.out_channels, 1, bias=False)

    def forward(self, x):
        return super().forward(x) + 2.0 * self.lora_B(self.lora_A(x))


def lengths(weight):
    """Of the rows; backward takes them for constants (Liu et al. 2024, section 4.3)."""
    return weight.flatten(1).norm(dim=1).detach()


class DoraLinear(LoraLinear):
    """Hugging Face PEFT's DoRA: the update's layer with rows of trained length."""
    def attach(self, rank):
        super().attach(rank)
        self.lora_magnitude_vector = nn.Parameter(torch.ones(self.out_features))

    def forward(self, x):
        c = self.lora_magnitude_vector / lengths(self.weight + 2.0 * self.lora_B.weight @ self.lora_A.weight)
        return c * (F.linear(x, self.weight) + 2.0 * self.lora_B(self.lora_A(x))) + self.bias


class DoraConv(LoraConv):
    """The same on a convolution without bias."""
    def attach(self, rank):
        super().attach(rank)
        self.lora_magnitude_vector = nn.Parameter(torch.ones(1, self.out_channels, 1, 1))

    def forward(self, x):
        update = (self.lora_B.weight.flatten(1) @ self.lora_A.weight.flatten(1)).view_as(self.weight)
        norms = lengths(self.weight + 2.0 * update).view(1, -1, 1, 1)
        return self.lora_magnitude_vector / norms * super().forward(x)


class Ia3Output(nn.Linear):
    def attach(self):
        self.ia3_l = nn.Parameter(torch.ones(self.out_features, 1))

    def forward(self, x):
        return super().forward(x) * self.ia3_l.flatten()


class Ia3Input(nn.Linear):
    def attach(self):
        self.ia3_l = nn.Parameter(torch.ones(1, self.in_features))

    def forward(self, x):
        return super().forward(x * self.ia3_l.flatten())


class SsfNorm(nn.BatchNorm2d):
    """A factor and a summand after the norm."""
    def attach(self):
        self.ssf_scale = nn.Parameter(torch.ones(self.num_features))
        self.ssf_shift = nn.Parameter(torch.zeros(self.num_features))

    def forward(self, x):
        return super().forward(x) * self.ssf_scale.view(-1, 1, 1) + self.ssf_shift.view(-1, 1, 1)


class Bottlenecked(nn.Linear):
    """A layer and a bottleneck on its output; a sixteenth of the features, at least 4."""
    def attach(self, act):
        inner = max(4, self.out_features // 16)
        self.adapter_down, self.adapter_up = nn.Linear(self.out_features, inner), nn.Linear(inner, self.out_features)
        self.act = act

    def forward(self, x):
        y = super().forward(x)
        return y + self.adapter_up(self.act(self.adapter_down(y)))


class BottleneckedBlock(Basic):
    """The same on a block of a convolution network."""
    def attach(self):
        channels = self.bn2.num_features
        inner = max(4, channels // 16)
        self.adapter_down, self.adapter_up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x):
        y = super().forward(x)
        return y + self.adapter_up(F.relu(self.adapter_down(y)))


class PromptedVit(Vit):
    """Jia et al. 2022: vectors behind the class token, without a place."""
    def attach(self, count):
        D = self.cls_token.shape[2]
        self.count, self.prompt_encoder = count, nn.ModuleDict({"embedding": nn.Embedding(count, D)})

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1) + self.pos_embed
        prompt = self.prompt_encoder["embedding"].weight.expand(len(x), -1, -1)
        x = torch.cat((x[:, :1], prompt, x[:, 1:]), 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.fc(x[:, 1 + self.count:].mean(1) if self.mean else x[:, 0])


class PromptedVitLayer(VitLayer):
    """Vectors of its own in the place of those before."""
    def attach(self, count, D):
        self.count, self.prompt_encoder = count, nn.ModuleDict({"embedding": nn.Embedding(count, D)})

    def forward(self, x):
        prompt = self.prompt_encoder["embedding"].weight.expand(len(x), -1, -1)
        return super().forward(torch.cat((x[:, :1], prompt, x[:, 1 + self.count:]), 1))


class Prefixed(nn.Linear):
    """Li and Liang 2021: a layer of keys or of values, and learned ones in front."""
    def attach(self, count):
        self.prefix = nn.ModuleDict({"embedding": nn.Embedding(count, self.out_features)})

    def forward(self, x):
        return torch.cat((self.prefix["embedding"].weight.expand(len(x), -1, -1), super().forward(x)), 1)


def become(module, kind, *arguments):
    module.__class__ = kind
    module.attach(*arguments)


def attach(model, method, rank):
    dora = method == "dora"
    if method in ("vpt", "vpt-deep"):
        become(model, PromptedVit, 20)
        for layer in model.blocks[1:] if method == "vpt-deep" else ():
            become(layer, PromptedVitLayer, 20, model.cls_token.shape[2])
        return
    is_vit = isinstance(model, (Vit, HfVit))
    if method == "prefix" and not is_vit:
        model.first = 20
    for name, module in list(model.named_modules()):
        linear = isinstance(module, nn.Linear) and module is not model.fc
        if is_vit and method in ("lora", "dora") and not name.endswith((".attn.qkv", ".query", ".value")):
            continue
        if method in ("lora", "dora") and isinstance(module, nn.Conv2d):
            become(module, DoraConv if dora else LoraConv, rank)
        elif method in ("lora", "dora") and linear:
            become(module, DoraLinear if dora else LoraLinear, rank)
        elif method == "ia3" and name.endswith((".key", ".value")):
            become(module, Ia3Output)
        elif method == "ia3" and name.endswith(".output.dense"):
            become(module, Ia3Input)
        elif method == "prefix" and name.endswith((".key", ".value")):
            become(module, Prefixed, 20)
        elif method == "ssf" and isinstance(module, nn.BatchNorm2d):
            become(module, SsfNorm)
        elif method == "houlsby" and name.endswith(".output.dense"):
            become(module, Bottlenecked, F.gelu)
        elif method == "pfeiffer" and name.endswith(".output.dense") and "attention" not in name:
            become(module, Bottlenecked, F.relu)
        elif method == "pfeiffer" and isinstance(module, Basic):
            become(module, BottleneckedBlock)


ADAPTER = ("lora_", "ia3_l", "ssf_", "adapter_", "prompt_encoder", ".prefix.")
