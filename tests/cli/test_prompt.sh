#!/bin/bash
# Prompt tuning of networks for texts: the same on one rank and on two, and the predictions of Hugging Face PEFT, with our prompts there and
# with its prompts here.
# thaw-test: timeout=240 cores=1
# Needs a Python with torch, transformers, peft and h5py: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
peer=$(dirname "$0")/prompt_peer.py
python=${THAW_PEER_PYTHON:-python3}
needs torch transformers peft h5py
must "networks of others" peer prepare
still="--set rates.head=1e-12 --set rates.adapter=1e-12 --set optimizer.weight_decay=0 --set train.epochs=1"

for kind in bert distilbert; do
    pair='--text-pair second'
    [ $kind = bert ] || pair=
    must "$kind" alone backbone import $kind/model.safetensors --vocab vocab.txt -o $kind.h5
    must "$kind: data" alone data import --format csv --texts texts.csv --text first $pair --label label --vocab vocab.txt --tokens 16 \
        --splits train=24,val=4,gate=4,test=rest -o $kind-data.h5
    cat >$kind.yaml <<YAML
output: run-$kind
rung: peft
data: {file: $kind-data.h5}
model: {backbone: $kind.h5}
peft: {method: prompt, virtual_tokens: 5}
train: {epochs: 2, batch: 16, shards: 2, eval_batch: 16}
optimizer: {kind: adamw}
rates: {head: 0.01, adapter: 0.1}
YAML
    must "$kind: 1 rank" alone train $kind.yaml --quiet
    one=$(tail -n 1 out)
    must "$kind: 2 ranks" ranks 2 train $kind.yaml --quiet --set output=two-$kind
    same "$kind on 1 and 2 ranks: accuracy and loss" "$(echo "$one" | cut -d, -f 1,2)" "$(tail -n 1 out | cut -d, -f 1,2)"
    must "$kind: predictions" alone predict run-$kind --data $kind-data.h5 --split test --quiet -o $kind.csv
    must "$kind: export" alone export run-$kind --format peft --quiet -o $kind-adapter
    must "$kind: PEFT's predictions" peer load $kind $kind-adapter $kind-data.h5 $kind.csv
    cat out
    [ $kind = bert ] || continue
    must "$kind: PEFT's prompt" peer make $kind $kind-made 7 prompt
    must "$kind: going on" alone train $kind.yaml --quiet $still --set peft.virtual_tokens=7 --set train.adapter_from=$kind-made --set output=on-$kind
    must "$kind: its predictions" alone predict on-$kind --data $kind-data.h5 --split test --quiet -o on-$kind.csv
    must "$kind: going on, PEFT's" peer load $kind $kind-made $kind-data.h5 on-$kind.csv
    cat out
done

same "type" PROMPT_TUNING "$(get bert-adapter/adapter_config.json peft_type)"
same "tokens" 5 "$(get bert-adapter/adapter_config.json num_virtual_tokens)"
bad 2 'cannot be merged' alone export run-bert --format hdf5 --merge -o x
bad 2 'fold it in with --merge' alone export run-bert --format safetensors -o x
must "hdf5" alone export run-bert --format hdf5 --quiet -o bert-out.h5
bad 2 'made with peft: {method: prompt, virtual_tokens: 7}' alone train bert.yaml --set train.adapter_from=bert-made --set output=no
bad 2 'peft.virtual_tokens: is a setting of prompt, prefix, vpt' alone train bert.yaml --set peft.method=lora --set output=no
bad 2 '500 virtual tokens and 16 of a text are more than the 512 places' alone train bert.yaml --set peft.virtual_tokens=500 --set output=no
finish
