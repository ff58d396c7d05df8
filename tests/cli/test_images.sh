#!/bin/sh
# thaw-test: timeout=240 cores=1
# Folders of pictures: the example of the README on real ones, the same bytes as from the IDX file, and training on them.
set -u
. "$(dirname "$0")/lib.sh"

data=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
python3 "$root/tools/fashion-pictures" pictures 20 >out 2>&1
code=$?
[ $code = 77 ] || [ $code = 127 ] && { cat out; echo "skipped: the pictures of the example cannot be made"; exit 77; }
same "pictures are written" 0 $code

must "the example" alone data import --images pictures --colours grey --splits train=10,val=3,gate=5,test=rest -o pictures.h5
grep -q '200 pictures read in' err || fail "what was read: $(cat err)"
alone data info pictures.h5 --json
same "classes" '["bag","boot","coat","dress","pullover","sandal","shirt","sneaker","trouser","tshirt"]' "$(get out classes)"
same "shape" '[1,28,28]' "$(get out shape)"
same "samples of train" 100 "$(get out splits.train.samples)"

# All of one class: the pictures of the PNG files are those of the IDX file.
must "bags from PNG" alone data import --images pictures --colours grey --select bag --splits bags=rest --mean 0 --std 1 -o png.h5
must "bags from IDX" alone data import --images "$data/train-images-idx3-ubyte.gz" --labels "$data/train-labels-idx1-ubyte.gz" \
    --select 8=bag --splits bags=rest --mean 0 --std 1 -o idx.h5
"${THAW_PEER_PYTHON:-python3}" - <<'PYTHON'
import sys
try:
    import h5py
except ImportError:
    sys.exit(print("skipped: h5py is not here; pixels of PNG and IDX were not compared"))
a, b = h5py.File("png.h5")["bags/x"][:], h5py.File("idx.h5")["bags/x"][:20]
sys.exit(0 if a.shape == (20, 1, 28, 28) and (a == b).all() else "pixels differ")
PYTHON
[ $? = 0 ] || fail "pixels of PNG and IDX"

# A broken file: by name, with the way out.
head -c 100 pictures/bag/"$(ls pictures/bag | head -n 1)" >pictures/coat/cut.png
touch pictures/coat/notes.txt
bad() { # CODE TEXT COMMAND...
    expected=$1 text=$2
    shift 2
    "$@"
    same "$*" "$expected" $?
    grep -q -e "$text" err || fail "$*: no '$text' in: $(cat err)"
}
bad 3 '1 of 201 pictures cannot be read: pictures/coat/cut.png: .*--broken 0.0055 would' \
    alone data import --images pictures --splits train=5,val=rest -o no.h5
[ ! -e no.h5 ] || fail "a refused import left a file"
bad 2 '--tokens is for texts' alone data import --images pictures --tokens 9 --splits train=5,val=rest -o new/no.h5
[ ! -e new ] || fail "a refused import left a folder"
cp pictures/coat/cut.png pictures/loose.png
must "broken ones left out" alone data import --images pictures --size 24 --shorter 26 --filter bicubic --broken 0.01 \
    --splits train=10,val=rest -o rgb.h5
grep -q 'warning: 1 of 201 pictures cannot be read and are left out' err || fail "what was left out: $(cat err)"
grep -q 'warning: pictures: 1 pictures lie beside the folders' err || fail "what has no class: $(cat err)"
grep -q '1 files with other endings' err || fail "what was passed over: $(cat err)"
[ "$(ls -A | grep -c pixels)" = 0 ] || fail "decoded pictures were left: $(ls -A)"

cat >run.yaml <<'YAML'
output: run
rung: scratch
data: {file: rgb.h5, gate: "", test: ""}
model: {arch: resnet20, width: 4}
train: {epochs: 1, batch: 20, shards: 2}
YAML
must "training on them" ranks 2 train run.yaml --quiet
finish
