"""Prompts and prefixes of BERT and DistilBERT between here and Hugging Face PEFT. `prepare` writes a folder of each network, with random weights,
and a table of pairs of texts; `load KIND ADAPTER DATA PREDICTIONS` compares the probabilities of the test split under PEFT's model with that
adapter; `make KIND ADAPTER TOKENS METHOD` saves an adapter that PEFT made, and prints how many numbers it trains."""

import csv
import os
import warnings

import h5py
import numpy as np
import peer_server
import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from peft_past import take_past
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification

warnings.simplefilter("ignore")
WORDS = "[PAD] [UNK] [CLS] [SEP] the a cat dog bird sat ran flew on under mat hill . good bad very not".split()
CLASSES = {"bert": BertForSequenceClassification, "distilbert": DistilBertForSequenceClassification}
CONFIGS = {"prompt": PromptTuningConfig, "prefix": PrefixTuningConfig}


def new(kind):
    wide = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512, "vocab_size": len(WORDS), "initializer_range": 0.1}
    if kind == "bert":
        return BertForSequenceClassification(BertConfig(**wide))
    return DistilBertForSequenceClassification(DistilBertConfig(vocab_size=len(WORDS), dim=128, n_layers=2, n_heads=2, hidden_dim=512, initializer_range=0.1))


def prepare():
    torch.manual_seed(3)
    for kind in CLASSES:
        new(kind).save_pretrained(kind)
    with open("vocab.txt", "w", encoding="utf-8") as out:
        out.writelines(word + "\n" for word in WORDS)
    with open("texts.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["first", "second", "label"])
        for i in range(96):
            who, did, where = ("cat", "dog", "bird")[i % 3], ("sat", "ran", "flew")[i // 3 % 3], ("mat", "hill")[i // 9 % 2]
            table.writerow([f"the {who} {did} on a {where}" + " ." * (i % 4), "very good" if i % 2 else "not good", "praise" if i % 2 else "blame"])


def with_adapter(kind, adapter):
    base = CLASSES[kind].from_pretrained(kind)
    if kind == "bert":
        return PeftModel.from_pretrained(base, adapter).eval()
    # PEFT wants the first layer of this head in the file too, which is frozen here and so not written.
    state = load_file(f"{adapter}/adapter_model.safetensors")
    prompt = state.pop("prompt_embeddings")
    assert not base.load_state_dict({k.removeprefix("base_model."): v for k, v in state.items()}, strict=False).unexpected_keys
    model = get_peft_model(base, PromptTuningConfig.from_pretrained(adapter)).eval()
    model.prompt_encoder["default"].embedding.weight.data.copy_(prompt)
    return model


def load(kind, adapter, data, predictions):
    bare = CLASSES[kind].from_pretrained(kind).eval()
    model = with_adapter(kind, adapter)
    if model.peft_config["default"].peft_type == "PREFIX_TUNING":
        take_past(model.get_base_model())
    with h5py.File(data) as file:
        x = torch.from_numpy(file["test/x"][:, :, :, 0].astype(np.int64))
    inputs = {"input_ids": x[:, 0], "attention_mask": (x[:, 0] != model.config.pad_token_id).long()}
    if x.shape[1] > 1:
        inputs["token_type_ids"] = x[:, 1]
    with torch.no_grad():
        theirs = model(**inputs).logits.softmax(1).numpy()
        moved = abs(bare(**inputs).logits.softmax(1).numpy() - theirs).max()
    with open(predictions, newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])[list(rows[0]).index("probability") + 1:]
    ours = np.array([[float(row[k]) for k in names] for row in rows])
    worst = abs(ours - theirs).max()
    print(f"{kind}, {adapter}: probabilities of {len(rows)} texts differ by at most {worst:.1e}; they vary by {np.ptp(theirs[:, 0]):.1e}, the adapter moves {moved:.1e}")
    return bool(worst > 1e-5 or np.ptp(theirs[:, 0]) < 1e-3 or moved < 1e-3)


def make(kind, adapter, tokens, method):
    torch.manual_seed(5)
    config = CONFIGS[method](task_type="SEQ_CLS", num_virtual_tokens=int(tokens))
    model = get_peft_model(CLASSES[kind].from_pretrained(kind), config)
    model.save_pretrained(adapter)
    print(model.get_nb_trainable_parameters()[0])
    return not os.path.exists(f"{adapter}/adapter_model.safetensors")


peer_server.main({"prepare": prepare, "load": load, "make": make})
