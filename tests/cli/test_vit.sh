#!/bin/sh
# A vision transformer from scratch, then every depth of adaptation on pictures of another size.
# thaw-test: timeout=180 cores=1
set -u
. "$(dirname "$0")/lib.sh"
must "source files" "$tool" idx . 3 60 8
must "import of the source" alone data import --quiet --images images.idx --labels labels.idx --splits train=30,val=10 -o source.h5
must "larger files" "$tool" idx . 3 60 12
must "import of the target" alone data import --quiet --images images.idx --labels labels.idx --splits train=24,val=12 -o target.h5
cat >pretrain.yaml <<'YAML'
output: pretrain
rung: scratch
data: {file: source.h5, gate: "", test: ""}
model: {arch: vit_tiny_patch16_224, patch: 4}
train: {epochs: 1, batch: 30, shards: 3, eval_batch: 30, save_backbone: backbone.h5}
rates: {head: 0.01, backbone: 0.01}
YAML
bad 2 'set model.patch' alone train pretrain.yaml --quiet --set model.patch=0
bad 2 'patch and pool are for transformers' alone train pretrain.yaml --quiet --set model.arch=resnet20
must "training from scratch" alone train pretrain.yaml --quiet
sed -e 's/source.h5/target.h5/; s/^output.*/output: run/; s/^rung.*/rung: frozen/; s/^model.*/model: {backbone: backbone.h5}/' \
    -e 's/, save_backbone: backbone.h5//; s/batch: 30, shards: 3/batch: 12, shards: 12/' pretrain.yaml >run.yaml
must "frozen" ranks 2 train run.yaml
grep -q 'places of 2 x 2 patches are resampled to 3 x 3' err || fail "nothing is said of the places: $(cat err)"
must "mean of patches" alone train run.yaml --quiet --set output=mean --set model.pool=mean
cmp -s run/predictions.h5 mean/predictions.h5 && fail "model.pool changes nothing"
must "partial" ranks 2 train run.yaml --quiet --set rung=partial:2 --set output=partial
must "partial without kept features" alone train run.yaml --quiet --set rung=partial:2 --set output=off --set train.cache=off
same "partial keeps its prefix" memory "$(get partial/summary.json cache.place)"
same "bits with kept features" "$(get off/summary.json state_digest)" "$(get partial/summary.json state_digest)"
for rung in peft full; do
    must "$rung" alone train run.yaml --quiet --set rung=$rung --set output=$rung
done
for deep in false true; do
    vpt="--set rung=peft --set peft.method=vpt --set peft.virtual_tokens=3 --set peft.deep=$deep"
    must "vpt, deep $deep" alone train run.yaml --quiet $vpt --set output=vpt-$deep
    must "vpt, deep $deep, on 2 ranks" ranks 2 train run.yaml --quiet $vpt --set output=vpt2-$deep
    same "bits of vpt, deep $deep" "$(get vpt-$deep/summary.json state_digest)" "$(get vpt2-$deep/summary.json state_digest)"
    must "eval of vpt, deep $deep" alone eval vpt-$deep --json
    same "loss by eval of vpt, deep $deep" "$(get vpt-$deep/summary.json val.loss)" "$(get out loss)"
done
same "vpt: what is kept" memory "$(get vpt-true/summary.json cache.place)"
bad 2 'PEFT has no form of vpt; take --format hdf5' alone export vpt-true --format peft -o x
bad 2 'cannot be merged' alone export vpt-true --format hdf5 --merge -o x
must "export of vpt" alone export vpt-true --format hdf5 -o vpt.h5
bad 2 'patches of 4 pixels' alone train run.yaml --quiet --set model.patch=3 --set output=no
# Its linear layers in 8 bits: the same bits on any number of ranks, evaluation agrees, and the loss is another one than that of floats.
eight="--set rung=partial:2 --set train.frozen_precision=int8"
alone train run.yaml --quiet $eight --set output=eight
code=$?
if grep -q 'needs kernels with fast 8-bit' err; then
    same "refusal of 8 bits" 2 $code
    echo "not tried: 8 bits need a CPU with AVX2 or AVX-512 VNNI"
else
    same "partial in 8 bits" 0 $code
    must "partial in 8 bits on 2 ranks" ranks 2 train run.yaml --quiet $eight --set output=eight2
    same "bits in 8 bits" "$(get eight/summary.json state_digest)" "$(get eight2/summary.json state_digest)"
    must "eval in 8 bits" alone eval eight --json
    same "loss by eval in 8 bits" "$(get eight/summary.json val.loss)" "$(get out loss)"
    [ "$(get partial/summary.json val.loss)" != "$(get out loss)" ] || fail "8 bits change nothing"
fi
must "export" alone export full --format safetensors -o full.safetensors
grep -q 'by pool' err && fail "a warning of the class token: $(cat err)"
must "export of the mean" alone export mean --format safetensors -o mean.safetensors
grep -q "by pool mean, but the head of timm's VisionTransformer reads those by class" err || fail "no warning of the pool: $(cat err)"
must "import of the mean" alone backbone import mean.safetensors --mean 0.5 --std 0.5 -o mean.h5
alone backbone info mean.h5 --json
same "pool that was exported" mean "$(get out pool)"
must "import of another pool" alone backbone import mean.safetensors --mean 0.5 --std 0.5 --pool class -o class.h5
alone backbone info class.h5 --json
same "pool that was given" class "$(get out pool)"
bad 2 'class or mean is wanted' alone backbone import mean.safetensors --mean 0.5 --std 0.5 --pool pooler -o no.h5

# How the pictures were normalised that weights of others were trained on: transformers and timm write it beside them.
must "import of what we exported" alone backbone import mean.safetensors -o own.h5
grep -q 'normalisation: mean 0[.0-9]* and std 0[.0-9]*, as its metadata says; --mean/--std change it' err || fail "our own normalisation: $(cat err)"
alone backbone info own.h5 --json
own=$(get out mean)
alone backbone info backbone.h5 --json
same "mean that was exported" "$(get out mean | cut -c1-8)" "$(echo "$own" | cut -c1-8)"
mkdir beside && sed 's/input_mean/other_mean/; s/input_std/other_std/' mean.safetensors >beside/mean.safetensors || fail "copy"
said() { # WHAT MEAN STD WORDS PICTURES [OPTION...]: what the backbone then has, where that is said to be from, and how pictures are made
    what=$1 mean=$2 std=$3 words=$4 pictures=$5
    shift 5
    must "$what" alone backbone import beside/mean.safetensors "$@" -o beside.h5
    grep -q -e "$words" err || fail "$what: $(cat err)"
    same "$what: pictures" "$pictures" "$(sed -n 's/^pictures: as `thaw data import \(.*\)` makes them.*/\1/p' err)"
    alone backbone info beside.h5 --json
    same "$what: mean" "$mean" "$(get out mean)"
    same "$what: std" "$std" "$(get out std)"
}
beside=beside/preprocessor_config.json
bad 2 'no usual normalisation of 1 channels' alone backbone import beside/mean.safetensors -o no.h5
cat >beside/config.json <<'JSON'
{"architecture": "deit", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.25], "std": [0.125]}}
JSON
said "timm's config.json" '[0.25]' '[0.125]' 'normalisation: mean 0.25 and std 0.125, as config.json beside the weights says; --mean/--std change it' \
    '--size 224 --shorter 248 --filter bicubic'
cat >$beside <<'JSON'
{"do_center_crop": true, "crop_size": 224, "size": {"shortest_edge": 256}, "resample": 2, "image_mean": [0.5], "image_std": [0.75]}
JSON
said "transformers' file comes first" '[0.5]' '[0.75]' 'mean 0.5 and std 0.75, as preprocessor_config.json beside the weights says' \
    '--size 224 --shorter 256 --filter bilinear'
said "one is given" '[0.125]' '[0.75]' 'normalisation: std 0.75, as preprocessor_config.json beside the weights says; --std changes it' \
    '--size 224 --shorter 256 --filter bilinear' --mean 0.125
said "both are given" '[0.125]' '[0.25]' 'wrote beside.h5' '' --mean 0.125 --std 0.25
echo '{"do_normalize": false, "size": 8, "resample": 3}' >$beside
said "nothing is normalised" '[0]' '[1]' 'mean 0 and std 1, as preprocessor_config.json' '--size 8 --fit squash --filter bicubic'
echo '{"size": {"height": 8, "width": 8}}' >$beside
said "it says nothing of it" '[0.25]' '[0.125]' 'as config.json beside the weights says' '--size 224 --shorter 248 --filter bicubic'
refuse() { # TEXT PATTERN
    echo "$1" >$beside
    bad 3 "$2" alone backbone import beside/mean.safetensors -o no.h5
}
refuse '{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}' 'mean.safetensors: preprocessor_config.json beside the weights normalises 3 channels, but the weights take 1'
refuse '{"image_mean": [0.5], "image_std": [1, 1]}' 'image_mean has 1 numbers and image_std 2'
refuse '{"image_mean": [0.5], "image_std": [0]}' 'preprocessor_config.json beside .*image_std has 0; a finite number above 0'
refuse '{"image_mean": [null], "image_std": [1]}' 'image_mean has nan'
refuse '{"image_mean": [], "image_std": []}' 'image_mean has 0 numbers'
refuse '{"image_mean": 0.5, "image_std": 1}' 'preprocessor_config.json beside .*image_mean'
refuse '{"image_mean": [0.5]}' 'image_std'
refuse '{"do_normalize": 1}' 'do_normalize'
refuse '{"do_rescale": false, "image_mean": [0.5], "image_std": [1]}' 'does not rescale bytes'
refuse '{"rescale_factor": 0.5, "image_mean": [0.5], "image_std": [1]}' 'multiplies bytes by 0.5'
refuse '{' 'preprocessor_config.json:'
finish
