#!/bin/sh
# Weights that PyTorch and safetensors wrote become the same backbone in every form, and train. Needs them (THAW_PEER_PYTHON).
# thaw-test: timeout=240 cores=1
set -u
. "$(dirname "$0")/lib.sh"
"${THAW_PEER_PYTHON:-python3}" "$root/tests/cli/import_weights.py" . "$root/tools" >out 2>&1
code=$?
[ $code = 77 ] && { cat out; exit 77; }
same "weights are written" 0 $code
[ $code = 0 ] || { cat out; finish; }
grey="--mean 0.5 --std 0.25"
must "plain.pth" alone backbone import plain.pth $grey -o plain.h5
grep -q 'resnet20, all 95 tensors of it, and its head' err || fail "what was recognised: $(cat err)"
must "import --json" alone backbone import plain.pth $grey -o plain.h5 --json
same "what was imported" "plain.h5 resnet20 true" "$(get out file) $(get out arch) $(get out head)"
imported=$(get out digest)
alone backbone info plain.h5 --json
same "digest by import" "$imported" "$(get out digest)"
digest=$(get out digest)
must "again" alone backbone import plain.pth $grey -o again.h5
cmp -s plain.h5 again.h5 || fail "two imports of one file differ"
for file in wrapped.pth old.pth double.pth plain.safetensors plain.safetensors.index.json; do
    must "$file" alone backbone import $file $grey -o other.h5
    alone backbone info other.h5 --json
    same "digest of $file" "$digest" "$(get out digest)"
done
same "normalisation" '[0.5]' "$(get out mean)"
must "--arch" alone backbone import plain.pth --arch resnet20 $grey --size 8 --origin here --licence MIT -o sized.h5
alone backbone info sized.h5 --json
same "size" '[1,8,8]' "$(get out input)"
same "licence" MIT "$(get out licence)"
printf -- '---\ntags: [a]\nlicense: "bsd-3-clause"  \n---\nlicense: mit\n' >README.md
must "a model card" alone backbone import plain.pth $grey -o card.h5
alone backbone info card.h5 --json
same "licence of the card" bsd-3-clause "$(get out licence)"
printf -- '\357\273\277---\r\nlicense: cc-by-4.0 # hi\r\n---\r\n' >README.md
must "a model card from another system" alone backbone import plain.pth $grey -o card.h5
alone backbone info card.h5 --json
same "licence of that card" cc-by-4.0 "$(get out licence)"
printf -- '---\nlicense:\n- mit\n- other\n---\n' >README.md
printf '{"pretrained_cfg": {"license": "cc-by-nc-4.0"}}' >config.json
must "a card of two licences, and timm's" alone backbone import plain.pth $grey -o card.h5
grep -q 'names no single licence' err || fail "a card of two licences: $(cat err)"
alone backbone info card.h5 --json
same "licence of timm's file" cc-by-nc-4.0 "$(get out licence)"
rm README.md config.json
bad 3 'layer2.1.bn1.weight (16)' alone backbone import gap.safetensors $grey -o no.h5
bad 3 "infinite.pth: 'layer1.1.conv2.weight' has infinity at (2, 1, 0, 2)" alone backbone import infinite.pth $grey -o no.h5
bad 3 'no part of plain weights' alone backbone import whole.pth $grey -o no.h5
bad 2 'mean is needed' alone backbone import plain.pth -o no.h5
bad 2 'mean is needed, 3 numbers: resnet20 has no usual' alone backbone import colour.pth -o no.h5
must "three channels of ImageNet" alone backbone import resnet18.pth -o assumed.h5
grep -q 'normalisation: ImageNet mean/std, assumed for resnet18; --mean/--std change it' err || fail "what was assumed: $(cat err)"
alone backbone info assumed.h5 --json
must "--json says whose" alone backbone import resnet18.pth -o assumed.h5 --json
same "normalisation in JSON" '[0.485,0.456,0.406] usual for resnet18' "$(get out mean) $(get out normalisation)"
must "--json of options" alone backbone import plain.pth $grey -o other.h5 --json
same "normalisation by options in JSON" '[0.5] [0.25] --mean and --std' "$(get out mean) $(get out std) $(get out normalisation)"
alone backbone info assumed.h5 --json
same "assumed mean" '[0.485,0.456,0.406]' "$(get out mean)"
must "--std" alone backbone import resnet18.pth --std 1,1,1 -o assumed.h5
grep -q 'normalisation: ImageNet mean, assumed for resnet18; --mean changes it' err || fail "what was assumed: $(cat err)"
bad 2 'need at least 32 pixels' alone backbone import resnet18.pth --size 31 -o no.h5
bad 2 'need at least 32 pixels' alone backbone import resnet18.pth --arch resnet18 --size 3 -o no.h5
bad 2 'need at least 4 pixels' alone backbone import plain.pth $grey --size 3 -o no.h5
bad 2 'from 1 to 65536' alone backbone import plain.pth $grey --size 0 -o no.h5
bad 2 'size 65537: a whole number' alone backbone import nowhere.pth $grey --size 65537 -o no.h5
bad 2 'mean 1-2-3: numbers are wanted' alone backbone import nowhere.pth --mean 1-2-3 -o no.h5
bad 2 'mean 1,,2: numbers are wanted' alone backbone import nowhere.pth --mean 1,,2 -o no.h5
bad 2 'from -1e+09 to 1e+09' alone backbone import nowhere.pth --mean 1e10 -o no.h5
bad 2 'it reads texts, and the weights are of a network for images' alone backbone import plain.pth --arch bert-tiny $grey -o no.h5
bad 2 'take a tf_efficientnet_lite' alone backbone import lite.pth --arch efficientnet_lite0 -o no.h5
must "left over, quietly" alone backbone import more.pth $grey -o other.h5 --quiet
grep -q 'warning: 1 tensors are left over: more' err || fail "a warning that is gone: $(cat err)"
# Memory that is not there is no sign of another architecture.
for nth in 300 500 700 900; do
    THAW_FAULT=alloc:0:$nth
    export THAW_FAULT
    bad 4 'memory' alone backbone import plain.pth $grey -o no.h5
    unset THAW_FAULT
done
bad 2 'numbers are wanted' alone backbone import plain.pth --mean 1,2 --std 1 -o no.h5
bad 2 'above 0' alone backbone import plain.pth --mean 1 --std 0 -o no.h5
bad 3 'tensors of resnet56 are missing' alone backbone import plain.pth --arch resnet56 $grey -o no.h5
bad 2 'o is missing' alone backbone import plain.pth
[ ! -e no.h5 ] || fail "a refused import left a file"

# Real weights, from ImageNet, in the form that torch.save had before 1.6.
python=${THAW_PEER_PYTHON:-python3}
images=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}/t10k-images-idx3-ubyte.gz
for pair in 0:245 2:320; do # number of the network, and of its tensors
    n=${pair%:*}
    if lite=$("$python" "$root/tests/cli/import_lite.py" path $n) && [ -f "$images" ]; then
        must "EfficientNet-Lite$n" alone backbone import "$lite" -o lite$n.h5
        grep -q "tf_efficientnet_lite$n, all ${pair#*:} tensors of it, and its head" err || fail "EfficientNet-Lite$n: $(cat err)"
        "$python" "$root/tests/cli/import_lite.py" compare $n lite$n.h5 "$root/tools" "$images" || fail "logits of EfficientNet-Lite$n differ"
        # timm's names and shapes do not tell whose padding it is, but what `thaw export` writes beside them does.
        for arch in "" "tf_efficientnet_lite$n"; do
            "$python" -c 'import sys, h5py, safetensors.numpy as st
tensors = {name: value[()] for name, value in h5py.File(sys.argv[1])["backbone"].items()}
st.save_file(tensors, sys.argv[2], {"arch": sys.argv[3]} if sys.argv[3] else None)' lite$n.h5 "timm$arch.safetensors" "$arch" || fail "timm$arch.safetensors"
        done
        bad 2 'fits both .*padding' alone backbone import timm.safetensors -o no.h5
        must "what says its architecture" alone backbone import "timmtf_efficientnet_lite$n.safetensors" -o said.h5
        grep -q "tf_efficientnet_lite$n, all" err || fail "the metadata's architecture: $(cat err)"
    else
        echo "skipped: EfficientNet-Lite$n: $lite"
    fi
done

# It is a backbone like any other.
make_data
make_config
sed -i 's/^model: .*/model: {backbone: sized.h5}/' run.yaml
must "training on it" ranks 2 train run.yaml --quiet --set rung=frozen
must "training with words" alone train run.yaml --set rung=frozen --set output=words
grep -q 'inputs are normalised as sized.h5 was trained, mean 0.5 and std 0.25, not as target.h5 says' err || fail "whose normalisation: $(cat err)"
finish
