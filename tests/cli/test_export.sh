#!/bin/bash
# Runs in the hands of others: PyTorch's strict loading, Hugging Face PEFT and h5py give the predictions that Thaw gives.
# thaw-test: timeout=240 cores=1
# The comparison needs a Python with torch, safetensors, peft and h5py: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
here=$(cd "$root/tests/cli" && pwd)
make_all
python=${THAW_PEER_PYTHON:-python3}

for rung in full peft; do
    must "training $rung" alone train run.yaml --quiet --set rung=$rung --set output=$rung
done
for method in dora rslora ia3; do
    case $method in
    ia3) set -- --set 'peft={method: ia3}' ;;
    *) set -- --set peft.$method=true ;;
    esac
    must "training $method" alone train run.yaml --quiet --set rung=peft --set output=$method "$@"
    must "export $method" alone export $method --format peft -o $method-adapter
    must "predict $method" alone predict $method --split val -o $method.csv
done
two='--set model.head_hidden=6 --set model.head_activation=gelu'
must "training with a head of two layers" ranks 2 train run.yaml --quiet --set rung=peft --set output=two $two
must "the same on one rank" alone train run.yaml --quiet --set rung=peft --set output=two-alone $two
same "digest with a head of two layers" "$(get two/summary.json state_digest)" "$(get two-alone/summary.json state_digest)"
must "export two" alone export two --format peft -o two-adapter
must "export two merged" alone export two --format safetensors --merge -o two.safetensors
must "predict two" alone predict two --split val -o two.csv
must "training norm" alone train run.yaml --quiet --set rung=peft --set output=norm --set 'peft={method: norm}'

bad 2 'fold it in with --merge' alone export peft --format safetensors -o x
bad 2 'rung full has no adapter' alone export full --format peft -o x
bad 2 'PEFT has no form of norm' alone export norm --format peft -o x
bad 2 'leaves no adapter' alone export peft --format peft --merge -o x
bad 2 'did you mean safetensors' alone export peft --format safetensor -o x
bad 2 'are needed' alone export peft --format peft
bad 3 'nowhere' alone export nowhere --format hdf5 -o x
bad 4 'missing/x: there is no directory missing' alone export full --format safetensors -o missing/x
bad 2 'two.safetensors exists; replace it with --overwrite' alone export full --format safetensors -o two.safetensors
[ ! -e x ] || fail "a refused export left a file"

must "export full" alone export full --format safetensors -o full.safetensors
must "export norm" alone export norm --format safetensors -o norm.safetensors
must "export merged" ranks 2 export peft --format safetensors --merge -o merged.safetensors
grep -Eq 'merged: logits of 13 samples differ by at most [0-9.]+e-[0-9]+ of the largest' err || fail "what the merge proved: $(cat err)"
mv target.h5 away.h5
bad 3 'cannot open target.h5' alone export peft --format safetensors --merge -o x
mv away.h5 target.h5
must "export adapter" alone export peft --format peft -o adapter
must "export hdf5" alone export peft --format hdf5 -o peft.h5
must "export merged hdf5" alone export peft --format hdf5 --merge -o merged.h5
for file in merged.h5 merged.safetensors; do
    must "import of $file" alone backbone import $file -o again.h5
    grep -q 'and its head' err || fail "$file has no head: $(cat err)"
    alone backbone info again.h5 --json
    get out digest
    get out mean
done >again
same "HDF5 and safetensors" "$(sed -n 1,2p again)" "$(sed -n 3,4p again)"
bad 3 'again.h5 is a thaw-backbone file' alone backbone import again.h5 -o x
same "type of the adapter" LORA "$(get adapter/adapter_config.json peft_type)"
same "type of ia3" IA3 "$(get ia3-adapter/adapter_config.json peft_type)"
same "dora says so" true "$(get dora-adapter/adapter_config.json use_dora)"
same "rank of the adapter" 2 "$(get adapter/adapter_config.json r)"
same "saved modules" '["fc"]' "$(get adapter/adapter_config.json modules_to_save)"
must "export again" alone export peft --format safetensors --merge -o again.safetensors
cmp -s merged.safetensors again.safetensors || fail "one rank and two export different files"
cmp -s merged.safetensors full.safetensors && fail "merged lora is the full run"
for run in full lora; do
    must "predict $run" alone predict "$([ $run = lora ] && echo peft || echo full)" --split val -o $run.csv
done

# An adapter is where a run goes on; steps this small leave it where it is.
still="--set rates.head=1e-12 --set rates.backbone=1e-12 --set rates.adapter=1e-12 --set optimizer.weight_decay=0 --set train.epochs=1"
lora="--set rung=peft --set train.adapter_from=adapter"
must "going on from lora" ranks 2 train run.yaml --quiet $still $lora --set output=on
must "predict on" alone predict on --split val -o on.csv
awk -F, 'NR == FNR { for (i = 5; i <= 7; i++) p[FNR, i] = $i; next }
    FNR > 1 { for (i = 5; i <= 7; i++) { d = p[FNR, i] - $i; if (d > 1e-5 || d < -1e-5) bad++; n++ } }
    END { exit !(n > 30 && !bad) }' lora.csv on.csv || fail "training went on from another adapter"
must "going on from ia3" alone train run.yaml --quiet $still --set rung=peft --set 'peft={method: ia3}' --set train.adapter_from=ia3-adapter --set output=on-ia3
bad 2 'needs rung peft' alone train run.yaml --set rung=full --set train.adapter_from=adapter --set output=no
bad 2 'peft: {rank: 2, alpha: 4, rslora: false, dora: false}' alone train run.yaml $lora --set peft.rank=1 --set output=no
bad 2 "type 'LORA', but peft.method ia3 is PEFT's IA3" alone train run.yaml $lora --set 'peft={method: ia3}' --set output=no
bad 3 'is no part of this network' alone train run.yaml $lora --set 'peft.targets=["layer1.*"]' --set output=no
cp -r adapter nan-adapter
printf '\000\000\300\177' | dd of=nan-adapter/adapter_model.safetensors bs=1 conv=notrunc status=none \
    seek=$(($(wc -c <nan-adapter/adapter_model.safetensors) - 4))
bad 3 "nan-adapter/adapter_model.safetensors: '.*' has NaN at" alone train run.yaml $lora --set train.adapter_from=nan-adapter --set output=no
bad 3 'nowhere/adapter_config.json' alone train run.yaml $lora --set train.adapter_from=nowhere --set output=no

if "$python" -c 'import torch, peft, h5py, safetensors' 2>/dev/null; then
    "$python" "$here/export_peers.py" "$root/tools" . load || fail "the peers differ"
    "$python" "$here/export_peers.py" "$root/tools" . make || fail "PEFT made no adapter"
    must "going on from PEFT's" alone train run.yaml --quiet $still --set rung=peft --set train.adapter_from=made --set output=made-run \
        --set peft.rank=3 --set peft.alpha=5 --set peft.rslora=true --set 'peft.targets=["layer2.*.conv2", "layer3.1.conv1"]'
    must "predict PEFT's" alone predict made-run --split val -o made.csv
    "$python" "$here/export_peers.py" "$root/tools" . compare || fail "PEFT's adapter gives something else here"
else
    echo "SKIPPED the comparison: $python cannot import torch, peft, safetensors and h5py; set THAW_PEER_PYTHON"
fi
finish
