#!/bin/sh
# thaw-test: timeout=20 cores=1
# What the documents say about the program is what the program says about itself.
root=$(cd "$(dirname "$0")/../.." && pwd)
thaw=$1/thaw
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

"$thaw" help config >"$dir/config.md" || exit 1
if ! diff "$root/docs/config.md" "$dir/config.md"; then
    echo "docs/config.md is not what the field tables say; run: make docs"
    failures=$((failures + 1))
fi

"$thaw" --help >"$dir/help" || exit 1
commands=$(sed -n 's/^THAW_KIND([a-z_]*, "\([a-z ]*\)").*/\1/p' "$root/src/cli/kinds.def")
[ -n "$commands" ] || { echo "src/cli/kinds.def names no command"; exit 1; }
echo "$commands" | while read -r command; do
    grep -q "^  thaw $command " "$dir/help" || echo "thaw --help: no $command"
    # Every option that the command's own help names stands in its part of the manual.
    "$thaw" $command --help </dev/null | sed -n '/^Options:/,/^$/s/^.*  *--\([a-z-]*\).*/\1/p' | while read -r option; do
        grep -q "Fl -$option\( \|\$\)" "$root/docs/thaw.1" || echo "docs/thaw.1: no --$option of thaw $command"
    done
done >"$dir/missing"
cat "$dir/missing"
[ ! -s "$dir/missing" ] && [ "$failures" = 0 ]
