#!/bin/sh
# Every operation of RandAugment at every magnitude on random pictures: the same levels as Pillow, and as torchvision where it is installed.
# thaw-test: timeout=300 cores=1
# Needs a Python with Pillow, numpy and torch: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_randaugment_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
generator=$(dirname "$0")/../../tools/gen-golden-randaugment
if ! "$python" -c 'import PIL, numpy, torch' 2>/dev/null; then
    echo "SKIPPED: $python cannot import PIL, numpy and torch; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$python" "$generator" --live "$work/cases" || exit 1
"$build/data_test_randaugment" "$work/cases"
