#!/bin/sh
# RoBERTa and DistilBERT with random weights, as transformers saves their networks with heads: recognised, features as its own, trained and
# exported so that its classes load them strictly and give the same logits.
# thaw-test: timeout=400 cores=1
# Needs a Python with transformers, tokenizers and peft: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
peer=$(dirname "$0")/roberta_peer.py
python=${THAW_PEER_PYTHON:-python3}
needs peft safetensors tokenizers transformers h5py
must "networks of others" peer prepare

for kind in roberta distilbert; do
    vocab=$kind/vocab.json
    [ $kind = roberta ] || vocab=$kind/vocab.txt
    must "$kind" alone backbone import $kind/model.safetensors -o $kind.h5
    grep -q "$kind-tiny, all .* tensors of it, and its head" err || fail "$kind with its head: $(cat err)"
    grep -q 'left over' err && fail "$kind leaves something: $(cat err)"
    alone backbone info $kind.h5 --json
    same "$kind: features" pooler "$(get out pool)"
    must "$kind, the first token" alone backbone import $kind/model.safetensors --pool class -o $kind-class.h5
    grep -q 'its head is not there' err || fail "a head of other features was taken: $(cat err)"
    must "$kind, the mean" alone backbone import $kind/model.safetensors --pool mean -o $kind-mean.h5
    for what in class:16:single mean:16:single mean:24:pairs; do
        pool=${what%%:*}
        form=${what##*:}
        T=${what#*:}
        T=${T%:*}
        [ $kind$form = distilbertpairs ] && continue
        texts=lines
        [ $form = single ] || texts=pairs
        "$build/cli_tool_embed" $kind-$pool.h5 $vocab "$T" $form <$texts >floats || fail "features of $kind $what"
        must "$kind $what as transformers" peer features $kind $texts floats "$T" $pool
    done
    must "$kind: data" alone data import --format csv --texts texts.csv --vocab $vocab --tokens 16 --splits train=24,val=4,gate=4,test=rest -o $kind-data.h5
    cat >$kind.yaml <<YAML
output: run-$kind
rung: full
data: {file: $kind-data.h5}
model: {backbone: $kind.h5}
train: {epochs: 1, batch: 8, shards: 2, eval_batch: 8}
optimizer: {kind: adamw}
rates: {head: 0.001, backbone: 0.0001, adapter: 0.01}
YAML
    must "$kind: train" alone train $kind.yaml --quiet
    must "$kind: export" alone export run-$kind --format safetensors --quiet -o $kind-out.safetensors
    must "$kind: predictions" alone predict run-$kind --data $kind-data.h5 --split test --quiet -o $kind.csv
    must "$kind: strictly, the same probabilities" peer strict $kind $kind-out.safetensors $kind-data.h5 $kind.csv
    must "$kind: again" alone backbone import $kind-out.safetensors --vocab $vocab -o again.h5
    for method in lora ia3 prompt prefix houlsby; do
        must "$kind: $method" alone train $kind.yaml --quiet --set rung=peft --set peft.method=$method --set output=$method-$kind
        [ $method = houlsby ] && continue
        if [ $method-$kind = prefix-distilbert ]; then
            bad 2 'which those of distilbert-tiny do not' alone export $method-$kind --format peft -o x
            must "$kind: $method as hdf5" alone export $method-$kind --format hdf5 --quiet -o $method-$kind.h5
            continue
        fi
        must "$kind: $method for PEFT" alone export $method-$kind --format peft --quiet -o $method-$kind-adapter
        must "$kind: predictions by $method" alone predict $method-$kind --data $kind-data.h5 --split test --quiet -o $kind.csv
        must "$kind: PEFT's probabilities by $method" peer adapter $kind $method-$kind-adapter $kind-data.h5 $kind.csv
        must "$kind: $method goes on" alone train $kind.yaml --quiet --set rung=peft --set peft.method=$method --set train.adapter_from=$method-$kind-adapter --set output=on-$method-$kind
    done
    # A head on the first token itself: of two layers as the class has them, of one where their activation is relu.
    while read -r hidden activation; do
        must "$kind: $hidden, $activation" alone train $kind.yaml --quiet --set model.backbone=$kind-class.h5 --set model.head_hidden=$hidden --set model.head_activation=$activation --set output=class-$kind
        must "$kind: export of $hidden, $activation" alone export class-$kind --format safetensors --overwrite -o $kind-out.safetensors
        if [ $kind-$activation = roberta-relu ]; then
            grep -q 'loads nothing strictly' err || fail "no warning of $hidden, $activation: $(cat err)"
        else
            grep -q 'reads the first token itself; it is written as' err || fail "what was made of $hidden, $activation: $(cat err)"
            must "$kind: predictions of $hidden, $activation" alone predict class-$kind --data $kind-data.h5 --split test --quiet -o $kind.csv
            must "$kind: strictly, $hidden, $activation" peer strict $kind $kind-out.safetensors $kind-data.h5 $kind.csv
        fi
        rm -rf class-$kind
    done <<HEADS
0 relu
16 $([ $kind = roberta ] && echo tanh || echo relu)
HEADS
    rm -rf run-$kind
done

# What does not fit.
bad 3 'pads texts with the token 1, but bert-tiny knows padding by 0' alone train roberta.yaml --set model.backbone= --set model.arch=bert-tiny --set rung=scratch --set output=no
bad 3 'pads texts with the token 0, but a roberta knows padding by 1' alone backbone import roberta/model.safetensors --vocab distilbert/vocab.txt -o no.h5
bad 2 'another kind of network for texts' alone backbone import roberta/model.safetensors --arch bert-tiny -o no.h5
sed 's/1e-05/1e-12/' roberta/config.json >config && mv config roberta/config.json
bad 3 'layer_norm_eps 1e-12; only 1e-05 is built' alone backbone import roberta/model.safetensors -o no.h5
sed -i 's/"n_heads": 2/"n_heads": 4/' distilbert/config.json
bad 3 'says 4 heads of attention, but distilbert-tiny has 2' alone backbone import distilbert/model.safetensors -o no.h5
finish
