"""RoBERTa and DistilBERT with random weights. `prepare` writes a folder of each, texts and pairs of them; `features KIND TEXTS FLOATS T POOL` compares
features, all numbers of a text in the 2-norm; `strict KIND WEIGHTS DATA PREDICTIONS` loads exported weights with strict=True and compares
probabilities of the test split; `adapter` does so with an exported directory, which PEFT puts on the first network."""

import csv
import os

import h5py
import numpy as np
import peer_server
import torch
from peft_past import take_past
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer
from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForSequenceClassification
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LINES = [f"{a} {b} is {c}, isn't it? naïve café 中文 😀 <pad> {i}" for i, (a, b, c) in enumerate(
    (a, b, c) for a in ("the", "a") for b in ("cat", "dog", "bird", "mouse") for c in ("good", "very bad", "old", "not young"))]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + sorted({w for line in LINES for w in line.split()} | {",", "?", "'", "isn", "t", "naive", "cafe"})


def small(kind, vocabulary):
    torch.manual_seed(3)
    if kind == "roberta":
        return RobertaForSequenceClassification(RobertaConfig(
            vocab_size=vocabulary, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512, max_position_embeddings=514,
            type_vocab_size=1, layer_norm_eps=1e-5, num_labels=2)).eval()
    return DistilBertForSequenceClassification(DistilBertConfig(vocab_size=vocabulary, dim=128, n_layers=2, n_heads=2, hidden_dim=512, num_labels=2)).eval()


def prepare():
    with open("lines", "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in LINES)
    with open("pairs", "w", encoding="utf-8") as out:
        out.writelines(f"{a}\t{b}\n" for a, b in zip(LINES, LINES[::-1]))
    with open("texts.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["text", "label"])
        table.writerows((line + extra, "bad" if "bad" in line or "not" in line else "good") for extra in ("", " !", " so", " now") for line in LINES)
    for kind in ("roberta", "distilbert"):
        os.makedirs(kind)
        if kind == "roberta":
            trained = ByteLevelBPETokenizer()
            trained.train_from_iterator(LINES, vocab_size=330, special_tokens=SPECIALS, show_progress=False)
            trained.save_model(kind)
            count = trained.get_vocab_size()
        else:
            with open("distilbert/vocab.txt", "w", encoding="utf-8") as out:
                out.writelines(word + "\n" for word in WORDS)
            count = len(WORDS)
        small(kind, count).save_pretrained(kind)


def features(kind, path, floats, T, pool):
    tokenizer = RobertaTokenizerFast.from_pretrained(kind) if kind == "roberta" else BertTokenizerFast(vocab=f"{kind}/vocab.txt")
    model = {"roberta": RobertaForSequenceClassification, "distilbert": DistilBertForSequenceClassification}[kind].from_pretrained(kind).eval()
    with open(path, encoding="utf-8") as file:
        parts = [line.rstrip("\n").split("\t") for line in file]
    batch = tokenizer(*[list(t) for t in zip(*parts)], padding="max_length", truncation="longest_first", max_length=int(T), return_tensors="pt")
    ids = batch["input_ids"]
    kept = (ids != model.config.pad_token_id).long()  # a <pad> in a text is padding too, and has no place of its own
    with torch.no_grad():
        out = model.base_model(input_ids=ids, attention_mask=kept).last_hidden_state
    mask = kept[..., None].float()
    theirs = (out * mask).sum(1) / mask.sum(1) if pool == "mean" else out[:, 0]
    ours = torch.from_numpy(np.fromfile(floats, np.float32).reshape(theirs.shape))
    worst = ((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max().item()
    print(f"{kind}: {len(parts)} texts of {T} tokens, {pool}: largest relative difference {worst:.1e}")
    return bool(worst > 1e-5)


def loaded(kind, weights):
    state = load_file(weights)
    table = [v for k, v in state.items() if k.endswith("word_embeddings.weight")][0]
    model = small(kind, table.shape[0])
    model.load_state_dict(state, strict=True)
    return model


def strict(kind, weights, data, predictions):
    return compare(kind, loaded(kind, weights), data, predictions)


def adapter(kind, directory, data, predictions):
    from peft import PeftModel
    model = loaded(kind, f"{kind}/model.safetensors")
    take_past(model)
    return compare(f"{kind} with {directory}", PeftModel.from_pretrained(model, directory).eval(), data, predictions)


def compare(kind, model, data, predictions):
    with h5py.File(data) as file:
        x = torch.from_numpy(file["test/x"][:].reshape(len(file["test/x"]), -1).astype(np.int64))
    pad = model.config.pad_token_id
    with torch.no_grad():
        theirs = model(input_ids=x, attention_mask=(x != pad).long()).logits.softmax(1).numpy()
    with open(predictions, newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])[list(rows[0]).index("probability") + 1:]
    ours = np.array([[float(row[k]) for k in names] for row in rows])
    worst = abs(ours - theirs).max()
    print(f"{kind}: probabilities of {len(rows)} texts differ by at most {worst:.1e}")
    return bool(worst > 1e-5)


if __name__ == "__main__":
    peer_server.main({"prepare": prepare, "features": features, "strict": strict, "adapter": adapter})
