#!/bin/sh
# Every kind of accident of kill_loop once, always from the same seeds: what it finds at moments that nobody chose is found in longer loops.
# thaw-test: timeout=600
exec "$(dirname "$0")/kill_loop" "$1" 11 1
