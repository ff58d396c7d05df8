"""Keys and values from before, as Hugging Face PEFT hands a prefix to a network of transformers."""

import inspect


def take_past(model):
    """PEFT looks for the argument past_key_values and refuses a network without it; from 5.x on transformers calls it cache, and the
    old name is in no signature. Both names are given here; what is done with them is transformers' own."""
    backbone = model.get_submodule(model.base_model_prefix)
    inner = backbone.forward
    if "past_key_values" in inspect.signature(inner).parameters:
        return

    def forward(*arguments, past_key_values=None, **others):
        return inner(*arguments, cache=past_key_values, **others)
    backbone.forward = forward
