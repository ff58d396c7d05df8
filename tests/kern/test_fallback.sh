#!/bin/sh
# Without a usable OpenBLAS, auto takes native and warns; naming openblas is an error that says what to do.
# thaw-test: timeout=60
build=$1
missing() { echo "skipped: $1"; exit 77; }
[ "$(uname -s)" = Linux ] || missing "a shared library that is none is made for Linux only"
command -v cc >/dev/null || missing "no compiler called cc"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
# A library of the right name that is none.
echo 'int thaw_no_blas;' | cc -shared -fPIC -x c -o "$folder/libopenblas.so.0" - || exit 1
LD_LIBRARY_PATH="$folder" "$build/kern_test_open" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
for words in 'backend openblas cannot be used' 'falling back to native' 'backend openblas is not here: .*use backend native'; do
    grep -q "$words" "$folder/log" || { echo "missing: $words"; cat "$folder/log"; exit 1; }
done
"$build/kern_test_open" >"$folder/log" 2>&1
if grep -q 'openblas runs' "$folder/log" && grep -q 'falling back' "$folder/log"; then
    echo 'openblas is there, but auto fell back'
    exit 1
fi
