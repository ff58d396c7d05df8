"""BERT, RoBERTa and DistilBERT with random weights and tables for 64 or 600 tokens. `prepare` writes a folder of each and texts that are longer;
`strict FOLDER WEIGHTS DATA PREDICTIONS` loads exported weights with strict=True and compares probabilities of the test split."""

import csv
import os
import shutil

import peer_server
import torch
from roberta_peer import LINES, compare
from roberta_peer import prepare as prepare_usual
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig

NETWORKS = {"bert64": 64, "roberta64": 64, "distilbert64": 64, "bert600": 600}


def prepare():
    prepare_usual()
    with open("long.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["text", "label"])
        for i in range(24):
            table.writerow([" ".join(LINES[(i + k) % len(LINES)] for k in range(60)), "good" if i % 2 else "bad"])
    for name, places in NETWORKS.items():
        kind = name.rstrip("0123456789")
        usual = kind if kind != "bert" else "distilbert"
        config = AutoConfig.from_pretrained(usual)
        if kind == "bert":
            config = BertConfig(vocab_size=config.vocab_size, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512)
        config.max_position_embeddings = places + (2 if kind == "roberta" else 0)
        torch.manual_seed(5)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(name)
        for file in ("vocab.txt", "vocab.json", "merges.txt"):
            if os.path.exists(f"{usual}/{file}"):
                shutil.copy(f"{usual}/{file}", name)


def strict(folder, weights, data, predictions):
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.load_state_dict(load_file(weights), strict=True)
    return compare(folder, model, data, predictions)


peer_server.main({"prepare": prepare, "strict": strict})
