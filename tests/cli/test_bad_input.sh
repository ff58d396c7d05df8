#!/bin/sh
# Bad configs, data and backbones: one message, from one rank, with the right exit code, within 5 seconds, and nothing is left or lost.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
cases=0

# refused CODE PATTERN ARGUMENT...: thaw train run.yaml with these, alone.
refused() {
    cases=$((cases + 1))
    wanted=$1 what=$2
    shift 2
    bad "$wanted" "$what" alone train run.yaml "$@"
    [ ! -e run ] || { fail "$*: a run directory was made"; rm -rf run; }
}

# ---- Config: a sample on the command; every key is in train.test_config -------------------------------------------------
config() { # CODE PATTERN: run.yaml is edited by a sed script on stdin
    cases=$((cases + 1))
    sed -f - run.yaml >bad.yaml
    bad "$1" "$2" alone train bad.yaml
}
echo 's/^seed: 3/sead: 3/' | config 2 "bad.yaml:2:1: sead: unknown key; did you mean 'seed'?"
echo 's/epochs: 2/epochs: two/' | config 2 'bad.yaml:8:17: train.epochs: expected an integer'
echo 's/epochs: 2/epochs: 0/' | config 2 'bad.yaml:8:17: train.epochs: 0 is out of range'
echo '/^output/d' | config 2 "the required key 'output' is missing"
echo 's/shards: 24/shards: 7/' | config 2 'train.batch: 24 is not divisible by train.shards 7'
echo 's/^seed: 3/	seed: 3/' | config 2 'bad.yaml:2:1'
echo 's/^seed: 3/output: again/' | config 2 'output'
echo '1,$d' | config 2 'bad.yaml'
bad 2 'no such file' alone train nothing.yaml
bad 2 'not a readable file' alone train .
bad 2 'train.epoch:' alone train run.yaml --set train.epoch=3
bad 2 'train.epochs' alone train run.yaml --set train.epochs=-1
bad 2 '=' alone train run.yaml --set train.epochs
refused 2 'partial' --set rung=partial:99
refused 2 "nothing" --set rung=partial:nothing
# A request for 8 bits is never dropped in silence: where nothing is frozen, and where kernels have none.
for rung in full scratch; do
    refused 2 "int8 has nothing to do: rung $rung has no frozen part" --set rung=$rung --set train.frozen_precision=int8
done
refused 2 'needs kernels with fast 8-bit' --set backend=ref --set train.frozen_precision=int8
for command in ladder check; do
    bad 2 'needs kernels with fast 8-bit' alone $command run.yaml --set backend=ref --set train.frozen_precision=int8
    [ ! -e run ] || { fail "$command in 8 bits: a directory was made"; rm -rf run; }
done
refused 2 'peft.rank' --set rung=peft --set peft.rank=1000
refused 2 'crop_padding 8' --set data.augment.crop_padding=8
bad 2 'train.epochs' ranks 2 train run.yaml --set train.epochs=many
bad 2 'no such file' ranks 3 train nothing.yaml
bad 2 'data.gate' ranks 2 ladder run.yaml --set 'data.gate='
# A setting that nothing reads is an error, at its place.
refused 2 'crop_fill: is read where data.augment.crop_padding' --set data.augment.crop_padding=0 --set data.augment.crop_fill=reflect
refused 2 'crop_aspect_most: is read where data.augment.crop_area_least' --set data.augment.crop_aspect_most=2
for setting in least=0.01 most=0.5; do
    refused 2 "erase_area_${setting%=*}: is read where data.augment.erase_probability" --set data.augment.erase_probability=0 \
        --set data.augment.erase_area_$setting
done
refused 2 "data.val and data.train are both 'train'" --set data.val=train
refused 2 "data.gate and data.val are both 'val'" --set data.gate=val
bad 2 'train.adapter_from is for a run with rung peft' ranks 2 ladder run.yaml --set train.adapter_from=adapter
refused 2 'train.adapter_from needs rung peft, not full' --set train.adapter_from=adapter --set rung=full
bad 2 'data.gate and data.val' ranks 2 ladder run.yaml --set data.gate=val
bad 2 'data.test and data.gate' ranks 2 ladder run.yaml --set data.test=gate
rm -rf run

# ---- Data --------------------------------------------------------------------------------------------------------------
refused 3 'nothing.h5' --set data.file=nothing.h5
refused 3 'run.yaml' --set data.file=run.yaml
refused 3 'backbone.h5' --set data.file=backbone.h5
must "a good file" "$tool" dataset none good.h5
must "training on it" alone train run.yaml --quiet --set data.file=good.h5 --set data.test=test
rm -rf run
refused 2 'data.augment.rand_ops works on pictures stored as bytes.*good.h5 has float32' --set data.file=good.h5 --set data.augment.rand_ops=2
data() { # DEFECT PATTERN
    must "defect $1" "$tool" dataset "$1" bad.h5
    refused 3 "bad.h5.*$2" --set data.file=bad.h5
}
data nan 'row 5 has a NaN'
data empty-split 'val'
data no-labels 'y is missing'
data no-format 'format'
data two-shapes 'val'
data label-high 'row 23.*3\|label 3'
data label-negative '-1'
data class-absent "blue"
data version-2 'version 2'
head -c 3000 target.h5 >cut.h5
refused 3 'cut.h5' --set data.file=cut.h5
cp target.h5 flipped.h5
must "one damaged byte" "$tool" flip flipped.h5 -1
bad 3 'flipped.h5' alone data info flipped.h5 --verify
refused 2 "data.train: .*no split .nowhere.; there are" --set data.train=nowhere
refused 2 "data.val: .*nowhere" --set data.val=nowhere
refused 3 "slice.*hard.*soft" --set 'data.slices=[hard]'
must "nan again" "$tool" dataset nan bad.h5
bad 3 'bad.h5.*NaN' ranks 2 train run.yaml --set data.file=bad.h5
gone "two ranks on bad data"
bad 3 'labels.idx: samples have shape' alone data import --images labels.idx --labels images.idx --splits train=10 -o x.h5
bad 2 'splits' alone data import --images images.idx --labels labels.idx --splits train=many -o x.h5
bad 3 'nothing.idx' alone data import --images nothing.idx --labels labels.idx --splits train=1 -o x.h5
bad 2 'class' alone data import --images images.idx --labels labels.idx --splits train=10000 -o x.h5
[ ! -e x.h5 ] || fail "a refused import left a file"

# ---- Backbone ----------------------------------------------------------------------------------------------------------
refused 2 'model.backbone is empty' --set model.backbone=
refused 2 'model.arch is empty' --set model.backbone= --set rung=scratch
refused 3 'nothing.h5' --set model.backbone=nothing.h5
refused 3 'target.h5' --set model.backbone=target.h5
refused 3 'resnet20.*resnet18' --set model.arch=resnet18
refused 3 'width 4.*8' --set model.width=8
head -c 3000 backbone.h5 >cut.h5
refused 3 'cut.h5' --set model.backbone=cut.h5
# NaN and infinity, and what is finite but overflows: on kernels whose relu keeps NaN, and on those whose relu makes it 0.
cp backbone.h5 nan.h5
"$tool" set nan.h5 backbone/layer1.0.conv1.weight 40 nan
cp backbone.h5 inf.h5
"$tool" set inf.h5 backbone/bn1.running_var 3 -inf
cp backbone.h5 huge.h5
"$tool" set huge.h5 backbone/conv1.weight 4 3e38
for backend in onednn native; do
    refused 3 "nan.h5: 'layer1.0.conv1.weight' has NaN at (1, 0, 1, 1)" --set model.backbone=nan.h5 --set backend=$backend
    refused 3 "inf.h5: 'bn1.running_var' has -infinity at (3)" --set model.backbone=inf.h5 --set backend=$backend
    bad 5 'nothing was learned yet' alone train run.yaml --quiet --set rung=full --set model.backbone=huge.h5 --set backend=$backend
    rm -rf run
done
bad 3 "nan.h5: 'layer1.0.conv1.weight' has NaN" ranks 2 ladder run.yaml --set model.backbone=nan.h5
rm -rf run
cp backbone.h5 flipped.h5
must "one damaged byte" "$tool" flip flipped.h5 -1
refused 3 'flipped.h5' --set model.backbone=flipped.h5
must "three channels" "$tool" dataset rgb rgb.h5
refused 3 '1 channel.*rgb.h5 has 3' --set data.file=rgb.h5
must "an mlp" alone train pretrain.yaml --quiet --set output=mlp --set model.arch=mlp --set model.width=0 \
    --set 'model.hidden=[8]' --set train.save_backbone=mlp.h5
must "smaller pictures" "$tool" dataset small small.h5
refused 3 'mlp.h5 does not fit.*8.*7' --set data.file=small.h5 --set model.backbone=mlp.h5
must "smaller pictures for convolutions" alone train run.yaml --quiet --set data.file=small.h5 --set output=other-size
refused 3 'nothing.h5' --set rung=full --set train.head_from=nothing.h5
refused 3 'backbone.h5' --set rung=full --set train.head_from=backbone.h5
bad 3 'nothing.h5' ranks 2 train run.yaml --set model.backbone=nothing.h5

# ---- Output --------------------------------------------------------------------------------------------------------------
touch file
refused 4 'file' --set output=file
refused 4 'cannot create directory file: a file of this name exists' --set output=file/run
refused 4 'directory file: a file' --set train.save_backbone=file/x.h5
bad 4 'directory file: a file' ranks 2 train run.yaml --set output=file/run
bad 4 'directory file: a file' ranks 2 ladder run.yaml --set output=file/run
# Before the data are looked for: what cannot be written is not computed.
for command in train ladder; do
    bad 4 'directory file: a file' alone $command run.yaml --set output=file/run --set data.file=nothing.h5
done
bad 4 'train.save_backbone: .*directory file: a file' alone train run.yaml --set train.save_backbone=file/x.h5 --set data.file=nothing.h5
bad 4 'directory file: a file' alone data import --images nothing.idx --labels nothing.idx --splits train=1 -o file/x.h5
bad 4 'there is no directory nowhere' alone predict nothing -o nowhere/x.csv

# ---- Ranks -----------------------------------------------------------------------------------------------------------------
bad 2 'train.shards 24 is not divisible by the 5 ranks' ranks 5 train run.yaml
bad 2 'ranks_per_trial 2 does not divide the 3 ranks' ranks 3 ladder run.yaml --set ladder.ranks_per_trial=2
[ ! -e run ] || fail "a run directory was made for a wrong number of ranks"
gone ranks

# Four processes that srun started without telling MPI: each is alone, the first one speaks.
singleton() {
    env SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 SLURM_PROCID="$1" "$thaw" "$2" run.yaml >out 2>err
}
bad 2 '4 separate processes' singleton 0 train
singleton 3 train
same "exit code of the fourth singleton" 2 $?
same "words of the fourth singleton" 0 "$(grep -c . err)"
bad 2 '4 separate processes' singleton 0 ladder
env SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 SLURM_PROCID=0 "$thaw" data info target.h5 >out 2>err
same "exit code of a local command as one of four singletons" 2 $?
# One process in a batch script of four tasks: training is refused, looking is not.
alone() { env SLURM_NTASKS=4 "$thaw" "$1" run.yaml >out 2>err; }
bad 2 'SLURM_NTASKS is 4, but this process is alone' alone train
bad 2 'SLURM_NTASKS is 4, but this process is alone' alone ladder
[ ! -e run ] || fail "a singleton made a run directory"

# ---- Numbers -------------------------------------------------------------------------------------------------------------------
bad 5 'not finite; lower the learning rates' ranks 2 train run.yaml --quiet --set rung=full --set rates.head=1000 \
    --set rates.backbone=1000 --set optimizer.clip_norm=0 --set train.epochs=40
gone "not finite"
[ ! -e run/summary.json ] || fail "a diverged run has a summary"

echo "$cases settings were refused by thaw train"
finish
