"""Lists what Hugging Face PEFT trains and saves in a BERT of 2 layers and 128 features: "case key shape", in the words of test_methods."""
import warnings

from peft import IA3Config, LNTuningConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import BertConfig, BertModel

warnings.simplefilter("ignore")
EVERY = ["query", "key", "value", "dense"]
CASES = [
    ("lora", LoraConfig(r=3, target_modules=EVERY)),
    ("dora", LoraConfig(r=3, target_modules=EVERY, use_dora=True)),
    ("table", LoraConfig(r=3, target_modules=["word_embeddings"])),
    ("ia3", IA3Config(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"])),
    ("norm", LNTuningConfig(target_modules=["LayerNorm"])),
]

for name, config in CASES:
    base = BertModel(BertConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512))
    model = get_peft_model(base, config)
    for key, tensor in get_peft_model_state_dict(model).items():
        key = key.removeprefix("base_model.model.").replace(".ln_tuning_layers", "")
        print(name, key, "x".join(map(str, tensor.shape)))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == sum(t.numel() for t in get_peft_model_state_dict(model).values()), name
