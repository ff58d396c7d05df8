#!/bin/sh
# Weights between a run's start and its end: the curve of `thaw eval --interpolate`, and export.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all
must "full" ranks 2 train run.yaml --quiet --set rung=full --set output=full --set train.epochs=3

must "eval" alone eval full --json
cp out whole.json
must "curve" ranks 2 eval full --interpolate 0,0.25,0.5,1 --json
cp out curve.json
same "shares" "0 0.25 0.5 1" "$(get curve.json curve.0.interpolate curve.1.interpolate curve.2.interpolate curve.3.interpolate | tr '\n' ' ' | sed 's/ $//')"
same "loss at 1" "$(get whole.json loss)" "$(get curve.json curve.3.loss)"
same "slices of a row" soft "$(get curve.json curve.0.slices.0.name)"
for share in 0 0.5; do
    must "eval at $share" alone eval full --interpolate $share --json
    at=$([ $share = 0 ] && echo 0 || echo 2)
    same "loss at $share, on one rank" "$(get curve.json curve.$at.loss)" "$(get out loss)"
    same "accuracy at $share" "$(get curve.json curve.$at.accuracy)" "$(get out accuracy)"
done
same "different losses" 4 "$(get curve.json curve.0.loss curve.1.loss curve.2.loss curve.3.loss | sort -u | grep -c .)"
# The best is the first of the most accurate and, of these, of the lowest loss.
best=$(for i in 0 1 2 3; do echo "$(get curve.json curve.$i.accuracy) $(get curve.json curve.$i.loss) $(get curve.json curve.$i.interpolate)"; done |
    sort -k1,1gr -k2,2g | head -1 | cut -d' ' -f3)
same "best on val" "$best" "$(get curve.json best)"
must "table" alone eval full --interpolate 0,1
grep -q "best on val: [01]; .thaw export --interpolate" out || fail "no best in: $(cat out)"

# Val chooses; gate and test judge the one share.
bad 2 "'gate' judges what was chosen" alone eval full --split gate --interpolate 0,1
bad 2 "'test' judges what was chosen" ranks 2 eval full --split test --interpolate 0,1
must "gate at one share" alone eval full --split gate --interpolate 0.5
bad 2 'is not a number between 0' alone eval full --interpolate 0,2
bad 2 'is not a number between 0' alone eval full --interpolate half
bad 2 'is not a number between 0' alone export full --format hdf5 --interpolate 0,1 -o x
bad 3 'nowhere' ranks 2 eval nowhere --interpolate 0,1

must "export" alone export full --format safetensors -o trained.safetensors
must "export at 1" ranks 2 export full --format safetensors --interpolate 1 -o one.safetensors
must "export at 0.5" alone export full --format safetensors --interpolate 0.5 -o half.safetensors
cmp -s trained.safetensors one.safetensors || fail "a share of 1 is not what was trained"
cmp -s trained.safetensors half.safetensors && fail "a share of 0.5 is what was trained"

# What trained in any phase is on the way, frozen again or not.
must "phases" alone train run.yaml --quiet --set output=phases --set 'phases=[{rung: full, epochs: 1}, {rung: frozen}]'
must "curve of a run with phases" alone eval phases --interpolate 0,0.5,1 --json
same "loss of it at 1" "$(get phases/summary.json val.loss)" "$(get out curve.2.loss)"
same "losses of it" 3 "$(get out curve.0.loss curve.1.loss curve.2.loss | sort -u | grep -c .)"

must "lora" alone train run.yaml --quiet --set rung=peft --set output=lora
bad 2 'trained an adapter' alone eval lora --interpolate 0.5
bad 2 'trained an adapter' alone export lora --format hdf5 --interpolate 0.5 -o x
bad 2 'from scratch' alone eval pretrain --interpolate 0,1
[ ! -e x ] || fail "a refused export left a file"
finish
