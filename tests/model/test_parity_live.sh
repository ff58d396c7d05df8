#!/bin/sh
# Full-width resnet20, resnet18, minilm-l6, and a RoBERTa, a DistilBERT and a vision transformer (transformers' own networks) with PyTorch's random weights: logits,
# gradients and twenty steps of each optimizer.
# thaw-test: timeout=480 cores=1
# Needs a Python with PyTorch: THAW_PEER_PYTHON, else python3. Nothing is written to disk: the tensors travel through a pipe.
set -u
build=${1:?usage: test_parity_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
generator=$(dirname "$0")/../../tools/gen-golden
test_program=$build/model_test_parity

if ! "$python" -c 'import numpy, torch' 2>/dev/null; then
    echo "SKIPPED: $python cannot import torch and numpy; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
if [ ! -x "$test_program" ]; then
    echo "$test_program is not built"
    exit 1
fi
status=0
for case in ${THAW_LIVE_CASES:-resnet20 resnet18 bert roberta distilbert vit}; do
    case $case in
    roberta | distilbert | vit)
        if ! "$python" -c 'import transformers' 2>/dev/null; then
            echo "SKIPPED $case: $python cannot import transformers"
            continue
        fi
        ;;
    esac
    "$python" "$generator" --live /dev/stdout "$case" | "$test_program" /dev/stdin || status=1
done
exit $status
