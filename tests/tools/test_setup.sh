#!/bin/sh
# thaw-test: timeout=30 cores=1
# tools/setup on machines that are not this one: other systems, missing packages, with and without root. Programs are played by scripts.
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin"
failures=0
words=

play() { # play PROGRAM: its script comes from standard input
    { echo '#!/bin/sh'; cat; } >"$dir/bin/$1"
    chmod +x "$dir/bin/$1"
}
run() { # run EXPECTED_EXIT ID ID_LIKE PATTERN...
    expected=$1
    printf 'ID=%s\nID_LIKE="%s"\n' "$2" "$3" >"$dir/os-release"
    shift 3
    PATH="$dir/bin:$PATH" THAW_OS_RELEASE="$dir/os-release" "$root/tools/setup" $words >"$dir/out" 2>&1
    got=$?
    if [ "$got" != "$expected" ]; then
        echo "ended with $got, not $expected:"
        cat "$dir/out"
        failures=$((failures + 1))
    fi
    for pattern in "$@"; do
        grep -q -- "$pattern" "$dir/out" || { echo "no '$pattern' in:"; cat "$dir/out"; failures=$((failures + 1)); }
    done
}

play apt-get <<'S'
echo "apt-get $*"
[ ! -e "$(dirname "$0")/offline" ]
S
# Everything is installed except the package named in the file `without`.
play dpkg-query <<'S'
without=$(cat "$(dirname "$0")/without")
shift 2
for p; do
    [ "$p" = "$without" ] && echo "config-files $p" || echo "installed $p"
done
S
play id <<'S'
cat "$(dirname "$0")/uid"
S

echo none >"$dir/bin/without"
echo 1000 >"$dir/bin/uid"
run 0 debian '' 'all [0-9]* packages are installed'
[ "$(wc -l <"$dir/out")" = 1 ] || { echo "more than one line"; failures=$((failures + 1)); }
run 0 ubuntu debian 'installed'
run 1 fedora '' 'dnf install' 'spack install' 'module load'
run 1 rocky 'rhel centos fedora' 'dnf install'

# Slurm is asked for by name.
echo slurm-wlm >"$dir/bin/without"
run 0 debian '' 'installed'
words=slurm
run 1 debian '' 'apt-get install -y --no-install-recommends slurm-wlm$'
echo libsimgrid-dev >"$dir/bin/without"
words=
run 0 debian '' 'installed'
words=simgrid
run 1 debian '' 'apt-get install -y --no-install-recommends libsimgrid-dev$'
echo libmpich-dev >"$dir/bin/without"
words=
run 0 debian '' 'installed'
words=mpich
run 1 debian '' 'apt-get install -y --no-install-recommends libmpich-dev$'
words=slrum
run 2 debian '' "unknown word 'slrum'; known are slurm, simgrid and mpich"
words=

echo libyaml-dev >"$dir/bin/without"
run 1 debian '' 'apt-get install -y --no-install-recommends libyaml-dev$'
grep -q '^apt-get' "$dir/out" && { echo "ran apt-get without root"; failures=$((failures + 1)); }
echo 0 >"$dir/bin/uid"
run 0 debian '' '^apt-get update' '^apt-get install .* libyaml-dev$' 'setup: done'
touch "$dir/bin/offline"
run 1 debian '' 'apt-get failed'
rm "$dir/os-release"
PATH="$dir/bin:$PATH" THAW_OS_RELEASE="$dir/os-release" "$root/tools/setup" >"$dir/out" 2>&1 && failures=$((failures + 1))
grep -q 'dnf install' "$dir/out" || failures=$((failures + 1))
[ "$failures" = 0 ]
