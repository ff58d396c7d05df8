#!/bin/sh
# Networks for texts whose tables of places are shorter and longer than usual, as transformers saves them: imported, trained and evaluated on texts
# that fill the table, exported so that its classes load them strictly and give the same probabilities.
# thaw-test: timeout=400 cores=1
# Needs a Python with transformers, tokenizers and peft: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
peer=$(dirname "$0")/places_peer.py
python=${THAW_PEER_PYTHON:-python3}
needs peft safetensors tokenizers transformers h5py
must "networks of others" peer prepare

data() { # FILE TOKENS
    alone data import --format csv --texts long.csv --vocab "$vocab" --tokens "$2" --splits train=6,val=2,gate=2,test=rest -o "$1"
}

for what in bert:64 roberta:64 distilbert:64 bert:600; do
    kind=${what%:*}
    T=${what#*:}
    net=$kind$T
    vocab=$net/vocab.txt
    [ $kind = roberta ] && vocab=$net/vocab.json
    must "$net" alone backbone import $net/model.safetensors -o $net.h5
    grep -q "$kind-tiny, all .* tensors of it, and its head" err || fail "$net with its head: $(cat err)"
    grep -q 'left over' err && fail "$net leaves something: $(cat err)"
    grep -q "reads texts of up to $T tokens" err || fail "the contract of $net: $(cat err)"
    alone backbone info $net.h5 --json
    same "$net: tokens" "$T" "$(get out tokens)"
    must "$net: data" data $net-data.h5 "$T"
    cat >run.yaml <<YAML
output: run-$net
rung: full
data: {file: $net-data.h5}
model: {backbone: $net.h5}
train: {epochs: 1, batch: 4, shards: 2, eval_batch: 4, save_backbone: $net-on.h5}
optimizer: {kind: adamw}
rates: {head: 0.001, backbone: 0.0001, adapter: 0.01}
YAML
    must "$net: train" alone train run.yaml --quiet
    must "$net: export" alone export run-$net --format safetensors --quiet -o $net.safetensors
    must "$net: predictions" alone predict run-$net --data $net-data.h5 --split test --quiet -o $net.csv
    must "$net: strictly, the same probabilities" peer strict $net $net.safetensors $net-data.h5 $net.csv
    must "$net: again" alone backbone import $net.safetensors --vocab "$vocab" -o again.h5
    must "$net: from its own backbone" alone train run.yaml --quiet --set model.backbone=$net-on.h5 --set train.save_backbone= --set output=on-$net
    more=$((T + 1))
    must "$net: longer texts" data longer.h5 $more
    bad 3 "$net.h5 reads up to $T tokens, but longer.h5 has $more a text; import the data with --tokens $T" \
        alone train run.yaml --set data.file=longer.h5 --set output=no
    bad 2 "3 virtual tokens and $T of a text are more than the $T places of $kind-tiny" \
        alone train run.yaml --set rung=peft --set peft.method=prompt --set peft.virtual_tokens=3 --set output=no
    sed -i "s/\(\"max_position_embeddings\": \)[0-9]*/\1512/" $net/config.json
    bad 3 'has max_position_embeddings 512, but the table of places in the weights has' alone backbone import $net/model.safetensors -o no.h5
    rm -rf run-$net on-$net
done
[ ! -e no.h5 ] || fail "a refused import left a file"
finish
