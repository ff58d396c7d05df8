#!/bin/sh
# Vision transformers of others: files under the names of transformers and of timm are recognised, train, and go back under those names.
# thaw-test: timeout=240 cores=1
# Needs a Python with torch, transformers, peft, safetensors and h5py: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
python=${THAW_PEER_PYTHON:-python3}
needs torch transformers peft safetensors h5py
"$python" "$root/tests/cli/vit_peers.py" "$root/tools" make >peer 2>&1 || { cat peer; fail "files are not made"; finish; }
must "source files" "$tool" idx . 3 60 12
must "import of the data" alone data import --quiet --images images.idx --labels labels.idx --select 0=ash,1=birch,2=cedar \
    --splits train=24,val=12 -o target.h5
grey="--mean 0.5 --std 0.25"
must "transformers' names" alone backbone import hf/model.safetensors $grey -o hf.h5
grep -q 'hf_vit_tiny_patch16_224, all [0-9]* tensors of it, and its head' err || fail "transformers' names: $(cat err)"
grep -q 'left over' err && fail "something is left over: $(cat err)"
# The same weights under the names that transformers has in memory, with a head and without.
digest=$(alone backbone info hf.h5 --json; get out digest)
for file in state body; do
    must "names in memory, $file" alone backbone import hf/$file.pt $grey -o memory.h5
    grep -q 'hf_vit_tiny_patch16_224, all [0-9]* tensors of it' err || fail "names in memory, $file: $(cat err)"
    grep -q 'left over' err && fail "something of $file is left over: $(cat err)"
    same "weights by names in memory, $file" "$digest" "$(alone backbone info memory.h5 --json; get out digest)"
done
must "timm's names" alone backbone import timm.safetensors $grey -o timm.h5
grep -q ': vit_tiny_patch16_224, all 150 tensors of it, and its head' err || fail "timm's names: $(cat err)"
alone backbone info timm.h5 --json
same "size" '[1,12,12]' "$(get out input)"
alone backbone info timm.h5
grep -Eq '^mean +0.5$' out && grep -Eq '^std +0.25$' out || fail "normalisation in backbone info: $(cat out)"
must "another size" alone backbone import timm.safetensors $grey --size 20 -o larger.h5
grep -q 'places of 3 x 3 patches are resampled to 5 x 5' err || fail "another size: $(cat err)"
alone backbone info larger.h5 --json
same "the other size" '[1,20,20]' "$(get out input)"
bad 2 'no whole number of patches' alone backbone import timm.safetensors $grey --size 21 -o no.h5
bad 3 'tensors of vit_small_patch16_224 are missing' alone backbone import timm.safetensors $grey --arch vit_small_patch16_224 -o no.h5
bad 2 'normalisation of 1 channels' alone backbone import timm.safetensors -o no.h5

for origin in hf timm; do
    cat >$origin.yaml <<YAML
output: $origin-full
rung: full
data: {file: target.h5, gate: "", test: ""}
model: {backbone: $origin.h5}
peft: {rank: 2, alpha: 4}
train: {epochs: 1, batch: 12, shards: 12, eval_batch: 12}
rates: {head: 0.02, backbone: 0.02, adapter: 0.5}
YAML
    must "full" alone train $origin.yaml --quiet
    must "predict" alone predict $origin-full --split val -o $origin-full.csv
done
must "lora" alone train hf.yaml --quiet --set rung=peft --set output=hf-peft
must "lora on timm's names" alone train timm.yaml --quiet --set rung=peft --set output=timm-peft
must "predict" alone predict hf-peft --split val -o hf-peft.csv
mkdir hf-full-export hf-peft-export
must "export" alone export hf-full --format safetensors -o hf-full-export/model.safetensors
must "export merged" alone export hf-peft --format safetensors --merge -o hf-peft-export/model.safetensors
must "export" alone export timm-full --format safetensors -o timm-full.safetensors
must "export adapter" alone export hf-peft --format peft -o adapter
must "export adapter by names in memory" alone export hf-peft --format peft --names memory -o adapter-memory
bad 2 'memory as in files' alone export timm-peft --format peft --names memory -o no
bad 2 'is not files or memory' alone export hf-peft --format peft --names transformers -o no
bad 2 'is for --format peft' alone export hf-peft --format safetensors --merge --names memory -o no
# Both go on alike.
for adapter in adapter adapter-memory; do
    must "go on from $adapter" alone train hf.yaml --quiet --set rung=peft --set train.adapter_from=$adapter --set output=on-$adapter
done
same "state after $adapter" "$(get on-adapter/summary.json state_digest)" "$(get on-adapter-memory/summary.json state_digest)"
"$python" "$root/tests/cli/vit_peers.py" "$root/tools" compare >peer 2>&1 || fail "what was exported differs: $(tail -5 peer)"
grep 'largest difference' peer
finish
