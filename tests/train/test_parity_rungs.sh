#!/bin/sh
# Twenty steps of two rungs of a small BERT by the program and by transformers and PEFT end in the same state: the short form of tools/parity.
# thaw-test: timeout=500 cores=1
# Needs a Python with what tools/peers installs: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_parity_rungs.sh BUILD_DIR}
exec "${THAW_PEER_PYTHON:-python3}" "$(dirname "$0")/../../tools/parity" --build "$build" --models bert-tiny --rungs peft,full
