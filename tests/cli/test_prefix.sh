#!/bin/bash
# Prefix tuning of a BERT: the same on one rank and on two, and the predictions of Hugging Face PEFT, with our prefix there and with its prefix
# here. Of RoBERTa: test_import_roberta.sh.
# thaw-test: timeout=240 cores=1
# Needs a Python with torch, transformers, peft and h5py: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
peer=$(dirname "$0")/prompt_peer.py
python=${THAW_PEER_PYTHON:-python3}
needs torch transformers peft h5py
must "networks of others" peer prepare
still="--set rates.head=1e-12 --set rates.adapter=1e-12 --set optimizer.weight_decay=0 --set train.epochs=1"

must "bert" alone backbone import bert/model.safetensors --vocab vocab.txt -o bert.h5
must "data" alone data import --format csv --texts texts.csv --text first --text-pair second --label label --vocab vocab.txt --tokens 16 \
    --splits train=24,val=4,gate=4,test=rest -o data.h5
cat >bert.yaml <<YAML
output: run
rung: peft
data: {file: data.h5}
model: {backbone: bert.h5}
peft: {method: prefix, virtual_tokens: 5}
train: {epochs: 2, batch: 16, shards: 2, eval_batch: 16}
optimizer: {kind: adamw}
rates: {head: 0.01, adapter: 0.1}
YAML
must "1 rank" alone train bert.yaml --quiet
must "2 ranks" ranks 2 train bert.yaml --quiet --set output=two
same "bits on 1 and 2 ranks" "$(get run/summary.json state_digest)" "$(get two/summary.json state_digest)"
must "predictions" alone predict run --data data.h5 --split test --quiet -o ours.csv
must "export" alone export run --format peft --quiet -o adapter
must "PEFT's predictions" peer load bert adapter data.h5 ours.csv
cat out
must "PEFT's prefix" peer make bert made 7 prefix >count
must "going on" alone train bert.yaml --quiet $still --set peft.virtual_tokens=7 --set train.adapter_from=made --set output=on
same "parameters that train, as PEFT counts" "$(cat count)" "$(get on/summary.json parameters.trainable)"
must "its predictions" alone predict on --data data.h5 --split test --quiet -o on.csv
must "going on, PEFT's" peer load bert made data.h5 on.csv
cat out

same "type" PREFIX_TUNING "$(get adapter/adapter_config.json peft_type)"
same "tokens" 5 "$(get adapter/adapter_config.json num_virtual_tokens)"
bad 2 'cannot be merged' alone export run --format hdf5 --merge -o x
must "hdf5" alone export run --format hdf5 --quiet -o out.h5
bad 2 'made with peft: {method: prefix, virtual_tokens: 7}' alone train bert.yaml --set train.adapter_from=made --set output=no
bad 2 "of type 'PREFIX_TUNING', but peft.method prompt" alone train bert.yaml --set peft.method=prompt --set train.adapter_from=made --set output=no
bad 2 '500 virtual tokens and 16 of a text are more than the 512 places' alone train bert.yaml --set peft.virtual_tokens=500 --set output=no
finish
