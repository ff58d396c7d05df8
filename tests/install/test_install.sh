#!/bin/sh
# thaw-test: timeout=120
# An installed Thaw must be usable: every header alone, the example through the CMake package and through pkg-config, the same
# digest on 1 and 2 ranks, the command at its new place.
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
cached() { # cached NAME: its value in the build's cache
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}
if [ "$(cached THAW_SANITIZE)" = ON ]; then
    echo "skipped: an instrumented library is not for programs that are not"
    exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
prefix=$dir/prefix
compiler=$(cached CMAKE_C_COMPILER)
failures=0

step() { # step NAME COMMAND...: its output is shown when it fails, and the test ends
    name=$1
    shift
    "$@" >"$dir/log" 2>&1 && return 0
    echo "$name failed: $*"
    sed 's/^/    /' "$dir/log"
    exit 1
}
step "install" cmake --install "$build" --prefix "$prefix"

for header in "$prefix"/include/thaw/*.h; do
    echo "#include <thaw/$(basename "$header")>" >"$dir/header.c"
    step "a header alone" "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -I "$prefix/include" -fsyntax-only "$dir/header.c"
done

step "configuring with the package" cmake -S "$root/docs/examples" -B "$dir/by-cmake" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_BUILD_TYPE=Release
step "building with the package" cmake --build "$dir/by-cmake"

# By another MPI the example would end by a signal at its first call: refused, with both names.
other=
for mpicc in mpicc.openmpi mpicc.mpich; do
    library=$("$mpicc" -show 2>/dev/null | tr ' ' '\n' | sed -n 's/^-l\(mpi\|mpich\)$/\1/p' | head -n 1)
    [ -z "$library" ] || [ "$library" = "$(cached MPI_C_LIB_NAMES | cut -d ';' -f 1)" ] || other=$(command -v "$mpicc")
done
if [ -z "$other" ]; then
    echo "not tried: a program of another MPI (none is installed)"
elif cmake -S "$root/docs/examples" -B "$dir/other" -DCMAKE_PREFIX_PATH="$prefix" -DMPI_C_COMPILER="$other" >"$dir/log" 2>&1; then
    echo "the package lets a program of $other link this library"
    failures=$((failures + 1))
elif ! tr -s '\n ' '  ' <"$dir/log" | grep -q "this Thaw is built with the MPI of .* found that of '$other'"; then
    echo "the package does not say what is wrong with $other:"
    sed 's/^/    /' "$dir/log"
    failures=$((failures + 1))
fi

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name thaw.pc)")
export PKG_CONFIG_PATH
mkdir "$dir/by-pkg-config"
step "pkg-config" pkg-config --static --cflags --libs thaw
flags=$(cat "$dir/log")
# The library path too, for a shared build; a static one does not mind.
step "building with pkg-config" "$(cached MPI_C_COMPILER)" -std=c11 "$root/docs/examples/embed.c" $flags -lm \
    "-Wl,-rpath,$(pkg-config --variable=libdir thaw)" -o "$dir/by-pkg-config/embed"

for way in by-cmake by-pkg-config; do
    for ranks in 1 2; do
        step "the example $way on $ranks" "$root/tools/mpirun" 60 "$ranks" "$dir/$way/embed" "$dir/$way/out$ranks"
        grep '^state digest [0-9a-f]\{32\}$' "$dir/log" >"$dir/digest-$way-$ranks" || {
            echo "$way on $ranks ranks printed no digest"
            sed 's/^/    /' "$dir/log"
            failures=$((failures + 1))
        }
    done
done
if [ "$(cat "$dir"/digest-* | sort -u | wc -l)" != 1 ]; then
    echo "the digests differ:"
    grep . "$dir"/digest-*
    failures=$((failures + 1))
fi

version=$("$prefix/bin/thaw" --version) && [ "${version#thaw }" != "$version" ] || {
    echo "the installed command does not start"
    failures=$((failures + 1))
}
for file in share/man/man1/thaw.1 share/doc/thaw/README.md share/doc/thaw/LICENSE share/doc/thaw/docs/config.md \
    share/doc/thaw/docs/examples/embed.c share/doc/thaw/configs/quickstart.yaml; do
    [ -f "$prefix/$file" ] || { echo "not installed: $file"; failures=$((failures + 1)); }
done
[ "$failures" = 0 ]
