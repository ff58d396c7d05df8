#!/bin/sh
# Without a usable OpenBLAS, auto takes native and warns; naming openblas is an error that says what to do.
# thaw-test: timeout=60 cores=1
build=$1
missing() { echo "skipped: $1"; exit 77; }
[ "$(uname -s)" = Linux ] || missing "a shared library that is none is made for Linux only"
command -v cc >/dev/null || missing "no compiler called cc"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
# A library of the right name that is none.
echo 'int thaw_no_blas;' | cc -shared -fPIC -x c -o "$folder/libopenblas.so.0" - || exit 1
LD_LIBRARY_PATH="$folder" "$build/kern_test_open" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
expect() { grep -q "$1" "$folder/log" || { echo "missing: $1"; cat "$folder/log"; exit 1; }; }
expect 'backend openblas is not here: .*use backend native'
# Where oneDNN is built in, auto does not get as far as OpenBLAS.
if grep -q 'onednn runs' "$folder/log"; then
    expect 'auto takes onednn'
else
    expect 'backend onednn cannot be used (this build has no oneDNN'
    expect 'backend openblas cannot be used'
    expect 'falling back to native'
fi
"$build/kern_test_open" >"$folder/log" 2>&1
if grep -q 'openblas runs' "$folder/log" && grep -q 'falling back to native' "$folder/log"; then
    echo 'openblas is there, but auto fell back'
    exit 1
fi
