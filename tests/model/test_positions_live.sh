#!/bin/sh
# thaw-test: cores=1
# Places of a vision transformer in another size, against PyTorch's bicubic interpolation without aliasing (timm's choice).
# Needs a Python with PyTorch: THAW_PEER_PYTHON, else python3.
set -u
build=${1:?usage: test_positions_live.sh BUILD_DIR}
python=${THAW_PEER_PYTHON:-python3}
if ! "$python" -c 'import numpy, torch' 2>/dev/null; then
    echo "SKIPPED: $python cannot import torch and numpy; set THAW_PEER_PYTHON to a Python that can"
    exit 77
fi
exec "$python" "$(dirname "$0")/positions_peer.py" "$build/model_tool_positions"
