#!/bin/sh
# Weights that PyTorch and safetensors wrote become the same backbone in every form, and train. Needs them (THAW_PEER_PYTHON).
# thaw-test: timeout=120
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
alone backbone info plain.h5 --json
digest=$(get out digest)
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
bad 3 'layer2.1.bn1.weight (16)' alone backbone import gap.safetensors $grey -o no.h5
bad 3 "infinite.pth: 'layer1.1.conv2.weight' has infinity at (2, 1, 0, 2)" alone backbone import infinite.pth $grey -o no.h5
bad 3 'no part of plain weights' alone backbone import whole.pth $grey -o no.h5
bad 2 'mean is needed' alone backbone import plain.pth -o no.h5
bad 2 'numbers are wanted' alone backbone import plain.pth --mean 1,2 --std 1 -o no.h5
bad 2 'above 0' alone backbone import plain.pth --mean 1 --std 0 -o no.h5
bad 3 'tensors of resnet56 are missing' alone backbone import plain.pth --arch resnet56 $grey -o no.h5
bad 2 'o is missing' alone backbone import plain.pth
[ ! -e no.h5 ] || fail "a refused import left a file"

# Real weights, from ImageNet, in the form that torch.save had before 1.6.
python=${THAW_PEER_PYTHON:-python3}
images=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}/t10k-images-idx3-ubyte.gz
if lite=$("$python" "$root/tests/cli/import_lite.py" path) && [ -f "$images" ]; then
    must "EfficientNet-Lite0" alone backbone import "$lite" -o lite.h5
    grep -q 'tf_efficientnet_lite0, all 245 tensors of it, and its head' err || fail "EfficientNet-Lite0: $(cat err)"
    "$python" "$root/tests/cli/import_lite.py" compare lite.h5 "$root/tools" "$images" || fail "logits of EfficientNet-Lite0 differ"
else
    echo "skipped: EfficientNet-Lite0: $lite"
fi

# It is a backbone like any other.
make_data
make_config
sed -i 's/^model: .*/model: {backbone: sized.h5}/' run.yaml
must "training on it" ranks 2 train run.yaml --quiet --set rung=frozen
finish
