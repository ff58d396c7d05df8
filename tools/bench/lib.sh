# lib.sh: what the benchmarks share; read by `.`, not run. README.md says what each benchmark measures.
#
#   bench_begin NAME ARGUMENT...   options, environment, scratch directory $dir, list of peers $dir/peers (lines: label python)
#   bench_program NAME             builds bench_NAME or the command thaw; its path in $program
#   record ROW SIDE UNIT VALUE     one measured value; ROW has no spaces; UNIT ending in /s: more is better, else less
#   detail ROW SIDE TEXT           how that side was run
#   mark ROW TEXT                  what stands at the end of that row
#   note TEXT                      a line under the table
#   peer_start LABEL FILE ARG...   starts a peer that measures when asked: FILE ARG... DIRECTORY
#   peer_ask LABEL; peer_stop LABEL
#   timed COMMAND...               wall and core seconds to $dir/time, output to $dir/out
#   job_ours ROW ARG...            a command of thaw on $ranks ranks, timed and recorded; job_peers ROW ARG...: peer_ladder.py ARG...
#   bench_end                      table on standard output, JSON in $json
# $wrap stands before every measured command: strace, where files are counted.
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
wrap=

bench_usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    echo "Options: --rounds N, --seconds S of each measurement, --json FILE, --build DIRECTORY; tools/bench/README.md has the rest."
}

bench_begin() {
    bench=$1
    shift
    rounds=${rounds:-5} seconds=${seconds:-4} json='' build=$root/build/release
    while [ $# -gt 0 ]; do
        [ "$1" = --help ] && bench_usage && exit 0
        [ $# -gt 1 ] || { echo "$bench: $1 is unknown or needs a value; see --help" >&2; exit 2; }
        case $1 in
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --json) json=$2 ;;
        --build) build=$2 ;;
        --share) share=$2 ;;
        --clock) export THAW_BENCH_CLOCK="$2" ;;
        *) echo "$bench: unknown argument $1; see --help" >&2; exit 2 ;;
        esac
        shift 2
    done
    cores=$(env -u OMP_NUM_THREADS nproc)
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    dir=$(mktemp -d) || exit 2
    trap bench_clean EXIT
    trap 'exit 130' INT TERM
    : >"$dir/records"
    # Algorithms are chosen afresh: what an earlier, busier hour wrote to the user's cache would be measured for ever.
    export XDG_CACHE_HOME="$dir/cache"
    load_before=$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null)
    find_peers
}

# Nothing that was started here outlives the benchmark.
bench_clean() {
    for f in "$dir"/*/pid; do [ -f "$f" ] && kill "$(cat "$f")" 2>/dev/null; done
    rm -rf "$dir"
}

# The peers: every Python of THAW_PEER_PYTHON (separated by colons) that has PyTorch. What is missing is said.
find_peers() {
    : >"$dir/peers"
    [ "${THAW_PEER_PYTHON-python3}" = none ] && return
    echo "${THAW_PEER_PYTHON:-python3}" | tr : '\n' | while read -r python; do
        version=$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null) ||
            { echo "$bench: $python has no PyTorch, so it is left out; THAW_PEER_PYTHON names Pythons that have it" >&2; continue; }
        label=torch-$(echo "$version" | cut -d . -f 1,2)
        grep -q "^$label " "$dir/peers" && label=$label-$(grep -c . "$dir/peers")
        echo "$label $python" >>"$dir/peers"
        note "$label: PyTorch $version"
    done
    # Neither side is held back by a setting of the shell: ours finds the kernels of OpenBLAS by itself; PyTorch gets what ours would
    # choose where the library takes the CPU for an old one.
    unset OPENBLAS_CORETYPE
    peer_core=${THAW_BENCH_CORETYPE-$(grep -q avx512vl /proc/cpuinfo 2>/dev/null && echo SkylakeX)}
    [ -z "$peer_core" ] || note "PyTorch runs with OPENBLAS_CORETYPE=$peer_core"
}
peer_labels() { cut -d ' ' -f 1 "$dir/peers"; }
peer_python() { sed -n "s/^$1 //p" "$dir/peers"; }

peer_run() { # LABEL FILE ARG...: with the environment of a peer
    label=$1 file=$2
    shift 2
    [ -z "$peer_core" ] || export OPENBLAS_CORETYPE="$peer_core"
    exec $wrap timeout -k 5 "${THAW_BENCH_LIMIT:-1800}" "$(peer_python "$label")" "$root/tools/bench/$file" "$@"
}

bench_program() {
    [ -f "$build/CMakeCache.txt" ] || cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null || exit 1
    target=bench_$1
    [ "$1" = thaw ] && target=thaw_command
    cmake --build "$build" --target "$target" >"$dir/build.log" 2>&1 ||
        { tail -n 20 "$dir/build.log" >&2; echo "$bench: $target does not build" >&2; exit 1; }
    program=$(find "$build" -name "${target%_command}" -type f -perm -u+x | head -n 1)
}

ranks_run() { # RANKS PROGRAM ARG...: one core a rank, as far as there are cores
    ranks=$1
    shift
    if [ "$ranks" = 1 ]; then
        $wrap timeout -k 5 "${THAW_BENCH_LIMIT:-1800}" "$@"
    else
        bind=core
        [ "$ranks" -le "$cores" ] || bind=none
        $wrap env OMPI_MCA_hwloc_base_binding_policy=$bind OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 \
            OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout -k 5 "${THAW_BENCH_LIMIT:-1800}" "${MPIEXEC:-mpirun}" -n "$ranks" "$@"
    fi
}

# A peer keeps its networks between rounds. It is asked by a file `go` and answers with a file `answer`: no pipe that blocks when
# one side has died.
peer_start() {
    label=$1
    shift
    mkdir -p "$dir/$label"
    rm -f "$dir/$label"/go "$dir/$label"/answer
    (peer_run "$label" "$@" "$dir/$label") >"$dir/$label/log" 2>&1 &
    echo $! >"$dir/$label/pid"
}
peer_ask() {
    : >"$dir/$1/go"
    while [ ! -f "$dir/$1/answer" ]; do
        if ! kill -0 "$(cat "$dir/$1/pid")" 2>/dev/null; then
            tail -n 5 "$dir/$1/log" >&2
            echo "$bench: the peer $1 has died" >&2
            return 1
        fi
        sleep 0.05
    done
    cat "$dir/$1/answer"
    rm -f "$dir/$1/answer"
}
peer_stop() {
    [ -f "$dir/$1/pid" ] || return 0
    kill "$(cat "$dir/$1/pid")" 2>/dev/null
    wait "$(cat "$dir/$1/pid")" 2>/dev/null
    rm -f "$dir/$1/pid"
}

# ---- Whole jobs ----------------------------------------------------------------------------------------------------

# Wall seconds and core seconds of a command to $dir/time; its output to $dir/out.
timed() {
    began=$(date +%s.%N)
    ("$@" >"$dir/out" 2>&1; code=$?; times; exit $code) >"$dir/times"
    code=$?
    ended=$(date +%s.%N)
    # The last line of `times` is user and system time of the children, as 0m1.23s.
    tail -n 1 "$dir/times" | tr 'ms' '  ' | awk -v a="$began" -v b="$ended" '{ print b - a, $1 * 60 + $2 + $3 * 60 + $4 }' >"$dir/time"
    [ $code = 0 ] || { grep -m 5 -i error "$dir/out" >&2; echo "$bench: ended with $code: $*" >&2; }
    return $code
}
both() { # ROW SIDE: wall and core seconds of what was timed
    record "$1" "$2" s "$(cut -d ' ' -f 1 "$dir/time")"
    record "$1/core" "$2" core-s "$(cut -d ' ' -f 2 "$dir/time")"
}
job_ours() { # ROW COMMAND CONFIG SETTING...
    row=$1
    shift
    rm -rf "$dir/run"
    timed ranks_run "$ranks" "$thaw" "$@" --quiet --set "output=$dir/run" || return
    both "$row" ours
}
job_peers() { # ROW DATA OPTION...
    row=$1
    shift
    for label in $(peer_labels); do
        timed peer_job "$label" "$@" || continue
        # Less than all trials: both clocks grow as the seconds did.
        awk -v whole="$(word_after seconds <"$dir/out")" -v ran="$(sed -n 's/.*extrapolated from \([0-9.]*\) s/\1/p' "$dir/out")" \
            '{ part = ran ? ran : whole; f = whole / part; print $1 + (f - 1) * part, $2 * f }' "$dir/time" >"$dir/scaled"
        mv "$dir/scaled" "$dir/time"
        both "$row" "$label"
        cp "$dir/out" "$dir/out.$label"
        detail "$row" "$label" "$(tail -n 1 "$dir/out"); $(grep 'gate accuracy' "$dir/out" | sed 's/, .* gate/ gate/; s/, [^,]*$//' | tr '\n' ';')"
    done
}
peer_job() { # in a subshell of its own, since peer_run ends its shell
    (label=$1; shift; peer_run "$label" peer_ladder.py "$@" "ranks=$ranks")
}

# Random images with random labels, a backbone with random weights, the config of a job on them, and all of it for the peer.
random_job() { # DIRECTORY ARCH IMAGES SIDE BATCH RUNG EPOCHS
    mkdir -p "$1/dump" && "$data_tool" random $(($3 + $3 / 4)) "$4" 2 "$1" && "$data_tool" backbone "$2" "$4" "$1/backbone.h5" &&
        "$thaw" data import --quiet --format npy --images "$1/x.npy" --labels "$1/y.npy" --splits "train=${3}total,val=rest" -o "$1/data.h5" &&
        "$data_tool" dump "$1/data.h5" "$1/backbone.h5" "$1/dump" || exit 1
    cat >"$1/config.yaml" <<Y
name: random
output: run
rung: $6
data: {file: $1/data.h5, gate: "", test: ""}
model: {backbone: $1/backbone.h5}
train: {epochs: $7, batch: $5, shards: 2, eval_batch: 16}
optimizer: {kind: sgd, momentum: 0.9, nesterov: true, weight_decay: 0.0005, clip_norm: 1.0}
rates: {head: 0.1, backbone: 0.1, reason: any}
Y
}

# ---- Records -------------------------------------------------------------------------------------------------------

word_after() { awk -v word="$1" '{ for (i = 1; i < NF; i++) if ($i == word) print $(i + 1) }'; }
record() { echo "value $*" >>"$dir/records"; }
detail() { echo "detail $*" >>"$dir/records"; }
mark() { echo "mark $*" >>"$dir/records"; }
note() { echo "note $*" >>"$dir/records"; }

bench_end() {
    cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
    note "$cores cores, ${cpu:-unknown CPU}; load before ${load_before:-unknown}, after $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null)"
    note "medians of $rounds alternating rounds [least..most]; a ratio above 1 means that ours is faster or smaller"
    awk -v bench="$bench" -v bars="$root/tools/bench/bars" -v json="$json" -f "$root/tools/bench/table.awk" "$dir/records"
}
