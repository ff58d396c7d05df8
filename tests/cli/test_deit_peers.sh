#!/bin/sh
# A DeiT as transformers saves it: its normalisation and its pictures are those of the file beside the weights, and the outputs are transformers'.
# thaw-test: timeout=300 cores=1
# Needs a Python with torch, transformers, h5py and Pillow: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
python=${THAW_PEER_PYTHON:-python3}
if ! "$python" -c 'import torch, transformers, h5py, PIL' 2>/dev/null; then
    echo "SKIPPED: $python cannot import torch, transformers, h5py and PIL; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
peer() { "$python" "$root/tests/cli/deit_peers.py" "$@" >peer 2>&1 || { cat peer; fail "deit_peers.py $1"; finish; }; }
peer make
cp deit/model.safetensors plain.safetensors || fail "copy"
must "the import" alone backbone import deit/model.safetensors -o deit.h5
grep -q 'normalisation: mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225, as preprocessor_config.json beside the weights says' err ||
    fail "normalisation: $(cat err)"
options=$(sed -n 's/^pictures: as `thaw data import \(.*\)` makes them of square ones, preprocessor_config.json .*/\1/p' err)
same "pictures" "--size 12 --shorter 14 --filter bicubic" "$options"
alone backbone info deit.h5 --json
same "mean" '[0.485,0.456,0.406]' "$(get out mean)"
must "the pictures" alone data import --quiet --images pictures $options --splits train=8,val=rest -o target.h5
cat >run.yaml <<'YAML'
output: full
rung: full
data: {file: target.h5, gate: "", test: "", augment: {flip: true, rand_ops: 2}}
model: {backbone: deit.h5}
train: {epochs: 1, batch: 8, shards: 8, eval_batch: 8}
rates: {head: 0.02, backbone: 0.002}
YAML
must "full" ranks 2 train run.yaml --quiet
must "predict" alone predict full --split val -o full.csv
must "export" alone export full --format safetensors --overwrite -o deit/model.safetensors
peer compare
grep 'largest difference' peer
bad 3 'distilled/model.safetensors has deit.embeddings.distillation_token, the second token of a DeiT with distillation, which is not built' \
    alone backbone import distilled/model.safetensors -o no.h5
must "without the file" alone backbone import plain.safetensors -o plain.h5
grep -q 'normalisation: 0.5 as mean/std, assumed for hf_vit_tiny_patch16_224; --mean/--std change it (DeiT and others take ImageNet' err ||
    fail "what is assumed: $(cat err)"
finish
