# lib.sh: what the scripts of this folder share. A script sources it after `set -u`, with the build directory as $1.
# They work in a directory of their own, which is removed at the end with everything that still runs in it.
build=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
thaw=$build/thaw
tool=$build/cli_tool_files
failures=0
limit=40 # seconds that one run of the command may take
# One node: Open MPI need not look for networks, which is half of its start. Others ignore the names.
export OMPI_MCA_pml="${OMPI_MCA_pml:-ob1}" OMPI_MCA_btl="${OMPI_MCA_btl:-self,vader}"
export OMPI_MCA_ess_singleton_isolated="${OMPI_MCA_ess_singleton_isolated:-1}"
# A failed job is over when its ranks are; mpirun would give them two more seconds to end.
export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-0}"
if grep -q '^THAW_SANITIZE:BOOL=ON' "$build/CMakeCache.txt" 2>/dev/null; then
    THAW_TEST_SLOWER=${THAW_TEST_SLOWER:-6} limit=160
fi
for needed in "$thaw" "$tool"; do
    [ -x "$needed" ] || { echo "$needed is not built"; exit 1; }
done
# The launcher of the build's MPI, where a script is run by hand.
MPIEXEC=${MPIEXEC:-$(sed -n 's/^MPIEXEC_EXECUTABLE:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null)}
export MPIEXEC
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-cli-XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# same WHAT EXPECTED GOT
same() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

finish() {
    [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
    echo "all passed"
    exit 0
}

get() { "$tool" get "$@"; } # FILE PATH...: values, one a line

# ranks N ARGUMENT...: the command on N ranks, never unbounded; out and err are files.
ranks() {
    on_ranks=$1
    shift
    "$root/tools/mpirun" "$limit" "$on_ranks" "$thaw" "$@" >out 2>err
}

# The command alone, without a launcher.
alone() {
    timeout -k 5 "$limit" "$thaw" "$@" >out 2>err
}

# must WHAT COMMAND...: ends the script when what everything after it needs did not work.
must() {
    what=$1
    shift
    "$@" || { echo "FAIL: $what ($*) ended with $?"; cat err; exit 1; }
}

# needs WORD...: ends the script as skipped where $python lacks one of these modules. Finding is enough: to import them takes seconds.
needs() {
    "$python" -c 'import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))' "$@" 2>/dev/null && return
    echo "SKIPPED: $python lacks one of: $*; set THAW_PEER_PYTHON to a Python that has them"
    exit 77
}

# peer WORD...: the command of the Python script $peer, in the one process that the first call starts (see peer_server.py).
peer() {
    if [ ! -p peer.in ]; then
        mkfifo peer.in peer.out
        "$python" -B "$peer" serve <peer.in >peer.out 2>peer.err &
        exec 8>peer.in 9<peer.out
    fi
    echo "$*" >&8
    while IFS= read -r peer_line <&9; do
        case $peer_line in 'ended '*) return "${peer_line#ended }" ;; esac
        printf '%s\n' "$peer_line"
    done
    echo "the peer is gone:" && tail -n 5 peer.err
    return 1
}

# A tiny transfer task: 8 x 8 pictures; the source has the classes 0 to 2, the target 3 to 5 with 101 training samples.
make_data() {
    must "source files" "$tool" idx . 6 120 8
    must "import of the source" alone data import --quiet --images images.idx --labels labels.idx \
        --select 0=red,1=green,2=blue --splits train=30,val=10 -o source.h5
    must "import of the target" alone data import --quiet --images images.idx --labels labels.idx \
        --select 3=ash,4=birch,5=cedar --splits train=101total,val=13total,gate=25,test=rest --slices soft=birch+cedar -o target.h5
}

# 240 short texts of two kinds and the words they are made of: texts.csv, vocab.txt.
make_texts() {
    printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' the a cat dog bird '##s' sat ran flew on under mat hill . good bad very not >vocab.txt
    awk 'BEGIN {
        print "kind,body,slices"
        split("cat dog bird cats dogs birds", who); split("sat ran flew", did); split("mat hill", where)
        for (i = 0; i < 240; i++) {
            good = i % 2
            print (good ? "praise" : "blame") ",\"the " who[i % 6 + 1] " " did[i % 3 + 1] (i % 5 ? "" : ",") " on a " where[i % 2 + 1] ". " \
                (good ? "very good" : "very bad") "\"," (i % 7 ? "" : "seventh")
        }
    }' >texts.csv
}

make_backbone() {
    cat >pretrain.yaml <<'YAML'
output: pretrain
rung: scratch
data: {file: source.h5, gate: "", test: ""}
model: {arch: resnet20, width: 4}
train: {epochs: 2, batch: 30, shards: 3, eval_batch: 30, save_backbone: backbone.h5}
rates: {head: 0.1, backbone: 0.1}
YAML
    must "training of the backbone" alone train pretrain.yaml --quiet
}

# A small BERT by a run from scratch on texts.h5; $1 goes into its model behind the architecture.
make_text_backbone() {
    cat >pretrain.yaml <<YAML
output: pretrain
rung: scratch
data: {file: texts.h5}
model: {arch: bert-tiny${1:-}}
train: {epochs: 1, batch: 20, shards: 2, eval_batch: 20, save_backbone: backbone.h5}
optimizer: {kind: adamw}
rates: {head: 0.001, backbone: 0.001}
YAML
    must "a backbone from scratch" alone train pretrain.yaml --quiet
}

# first_in_eight_bits PATTERN WHAT ARGUMENT...: trains run.yaml. A refusal with PATTERN is that of a CPU without 8 bits, and ends the
# script as skipped: WHAT is missing.
first_in_eight_bits() {
    refusal=$1 lacking=$2
    shift 2
    alone train run.yaml --quiet "$@"
    code=$?
    if grep -qE "$refusal" err; then
        same "refusal" 2 $code
        echo "SKIPPED: fast 8-bit $lacking"
        exit 77
    fi
    same "train in 8 bits" 0 $code
}

# Everything that could depend on the rank count is on: augmentation, dropout, clipping, momentum, a smaller last batch.
make_config() {
    cat >run.yaml <<'YAML'
output: run
seed: 3
data:
  file: target.h5
  augment: {crop_padding: 1, flip: true, erase_probability: 0.3}
model: {backbone: backbone.h5, head_dropout: 0.2}
peft: {rank: 2, alpha: 4, dropout: 0.1}
train: {epochs: 2, batch: 24, shards: 24, eval_batch: 16, log_every: 1}
optimizer: {momentum: 0.9, nesterov: true, weight_decay: 0.001, clip_norm: 1}
schedule: {kind: cosine, warmup: 0.2}
rates: {head: 0.1, backbone: 0.02, reason: chosen for the test}
YAML
}

make_all() {
    make_data
    make_backbone
    make_config
}

# is_launcher NAME: that of a process; Open MPI's mpirun has several, MPICH's mpiexec is Hydra.
is_launcher() {
    case $1 in mpirun* | mpiexec* | orterun | prterun) return 0 ;; esac
    return 1
}

# is_rank PROCESS RANK: as either MPI tells its ranks.
is_rank() {
    grep -qazsE "^(OMPI_COMM_WORLD_RANK|PMI_RANK)=$2\$" "/proc/$1/environ"
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# Processes of ours: whatever still runs in the directory that this script works in, apart from the script itself.
survivors() {
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd" 2>/dev/null) in
        "$work"*)
            case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
            *"$thaw"*) echo "${process#/proc/}" ;;
            esac
            ;;
        esac
    done
}

# gone WHAT: nothing of ours may run 5 seconds after the command has ended.
gone() {
    tries=50
    while [ -n "$(survivors)" ] && [ $tries -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    [ -z "$(survivors)" ] || {
        fail "$1: still running after 5 s: $(survivors)"
        for process in $(survivors); do kill -9 "$process"; done
    }
}

errors() { grep -c '^thaw: error: ' err; }

# bad CODE PATTERN COMMAND...: it must end with this exit code and one message that has the pattern, within 5 seconds.
bad() {
    code=$1 pattern=$2
    shift 2
    began=$(milliseconds)
    "$@"
    got=$?
    took=$(($(milliseconds) - began))
    [ $got = "$code" ] || fail "$*: exit code $got, expected $code: $(head -3 err)"
    [ "$(errors)" = 1 ] || fail "$*: $(errors) messages, expected one: $(grep -v '^--*$' err | head -5)"
    grep -q '^thaw: error: .*'"$pattern" err || fail "$*: no '$pattern' in: $(grep '^thaw' err | head -3)"
    [ $took -lt $((5000 * ${THAW_TEST_SLOWER:-1})) ] || fail "$*: took $took ms"
}
