#!/bin/sh
# 10,000 texts, most of them real lines, with a vocabulary trained on real lines: the same ids as transformers' RobertaTokenizerFast.
# thaw-test: timeout=300
# Needs a Python with transformers and tokenizers: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_bpe_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
generator=$(dirname "$0")/../../tools/gen-golden-bpe
if ! "$python" -c 'import tokenizers, transformers' 2>/dev/null; then
    echo "SKIPPED: $python cannot import tokenizers and transformers; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$python" "$generator" --check || exit 1
"$python" "$generator" --live "$work" "${THAW_LIVE_TEXTS:-10000}" >"$work/texts" || exit 1
"$build/data_test_bpe" "$work/texts" "$work/tokenizer.json"
