#!/bin/sh
# What lora, dora, lora on a table, ia3 and norm train in a BERT, against Hugging Face PEFT: the same names, shapes and so counts.
# thaw-test: timeout=120 cores=1
# Needs a Python with PyTorch, transformers and peft: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_peft_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
if ! "$python" -c 'import torch, transformers, peft' 2>/dev/null; then
    echo "SKIPPED: $python cannot import torch, transformers and peft; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$python" "$(dirname "$0")/peft_peer.py" >"$work/theirs.txt" || exit 1
"$build/adapt_test_methods" list >"$work/ours.txt" || exit 1
LC_ALL=C sort "$work/theirs.txt" -o "$work/theirs.txt"
LC_ALL=C sort "$work/ours.txt" -o "$work/ours.txt"
if ! diff "$work/theirs.txt" "$work/ours.txt"; then
    echo "PEFT's parameters (<) and ours (>) differ"
    exit 1
fi
cut -d ' ' -f 1 "$work/ours.txt" | uniq -c
