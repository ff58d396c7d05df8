#!/bin/sh
# Batch norms over the whole batch (train.batch_norm: sync), two ranks and four shards, against PyTorch, whose batch norms see that batch: tools/parity's
# steps of ResNet-18, full, held to double precision as PyTorch's own single precision is.
# thaw-test: timeout=600 cores=2
# Needs a Python with PyTorch: THAW_PEER_PYTHON, else python3.
set -u
. "$(dirname "$0")/lib.sh"
python=${THAW_PEER_PYTHON:-python3}
needs torch numpy h5py safetensors
timeout -k 5 560 "$python" -B "$root/tools/parity" --build "$build" --models resnet18 --rungs full --side 32 --shards 4 --ranks 2 --batch-norm sync >out 2>err
code=$?
[ $code != 77 ] || { cat err; exit 77; }
[ $code = 0 ] || fail "parity ended with $code: $(cat out err)"
grep resnet18 out || fail "no row of ResNet-18: $(cat out err)"
finish
