#!/bin/sh
# TensorBoard itself reads our event files, and drops what a resumed run wrote anew. thaw-test: timeout=120 cores=1
# Skipped where the Python package tensorboard is not there; THAW_PEER_PYTHON names another interpreter.
set -eu
python=${THAW_PEER_PYTHON:-python3}
if ! "$python" -c 'import tensorboard' 2>/dev/null; then
    echo "skipped: $python has no module tensorboard"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1/report_test_events" "$folder"
"$python" - "$folder" <<'END'
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
got = [(e.step, e.value) for e in events.Scalars("train/loss")]
expected = [(0, 0), (1, 1), (2, 102), (3, 103), (4, 104), (5, 105)]
sys.exit(None if got == expected else f"expected {expected}, TensorBoard read {got}")
END
