#!/bin/sh
# checks.sh BUILD_DIR [quick]: bytes that a training step puts on the wire, by the counters of the hosts' interfaces, against those that the run
# says it sums. Runs in the lab of tools/net-lab (tools/net-lab check); prints a table; non-zero when a row is outside its bounds. quick: frozen
# and lora alone.
#
# A run of 2 steps is taken from one of 8 (frozen: 24, since it sends so little) on the same samples, so that the start, evaluation and the end fall out. Whatever the algorithm, a
# sum of B bytes over n hosts takes at least 2 (n - 1) B from all of them together: the lower bound is a host's share. To it the network adds
#   66 bytes of headers (Ethernet 14, IP 20, TCP 32) for each packet of 1448, were each sent alone: 4.6 %. Interfaces here cut large frames
#   late, so that one header may stand for 64 KiB; and an acknowledgement of 66 bytes for at least every second packet received: 2.3 %.
#   The sum of both: 7 %.
#   For each message, 2 (n - 1) a bucket and host: a header of MPI and the packet's own, and the same again where a large message asks first
#   and is acknowledged; 256 bytes. Buckets are of a MiB, besides one for the sums in 64 bits and control words, and two more for what ranks
#   agree on in a step.
#   What was sent twice: packets that the kernel counts, of either run. On a busy machine acknowledgements come late.
set -u
mode=${2:-all}
hosts=4
. "$(dirname "$0")/../cli/lib.sh"
unset OMPI_MCA_btl OMPI_MCA_pml # one node's; the lab's environment has its own
lab=$root/tools/net-lab

must "pictures" "$tool" idx . 4 40 32
must "a dataset" alone data import --quiet --images images.idx --labels labels.idx --splits train=96total,val=rest -o data.h5
cat >run.yaml <<'YAML'
output: run
kernels: rule
data: {file: data.h5, gate: "", test: ""}
model: {arch: resnet18}
train: {epochs: 1, batch: 48, shards: 4, eval_batch: 16}
rates: {head: 0.001, backbone: 0.0001}
YAML
must "a backbone" alone train run.yaml --quiet --set rung=scratch --set train.save_backbone=backbone.h5 --set output=scratch
sed -i 's/arch: resnet18/backbone: backbone.h5/' run.yaml

sent() { "$lab" bytes | awk '{ print $3, $7 }'; }

# train RUNG BATCH: bytes that each host sent during the run, and packets that it sent again, one a line, in sent.BATCH
train() {
    sent >before
    "$lab" run timeout -k 5 120 mpirun -n $hosts "$thaw" train run.yaml --set "rung=$1" --set "train.batch=$2" \
        --set "output=run-$1-$2" >out 2>err || { echo "FAIL: rung $1 on $hosts hosts ended with $?"; cat err; exit 1; }
    [ "$1" = frozen ] || grep -q "gradients between $hosts nodes go by" out err || fail "rung $1: no word on what sums gradients"
    sent | paste before - | awk '{ print $3 - $1, $4 - $2 }' >"sent.$2"
}

rungs='frozen peft partial:1 full'
[ "$mode" != quick ] || rungs='frozen peft'
printf '%-10s %14s %14s %14s %14s %14s %9s %s\n' rung 'summed B' 'least on wire' 'sent a host' 'fewest' 'most' 'over' 'packets again'
for rung in $rungs; do
    batch=12
    [ "$rung" != frozen ] || batch=4
    train "$rung" 48
    train "$rung" $batch
    summed=$(get "run-$rung-$batch/summary.json" allreduce_bytes_per_step)
    paste sent.48 sent.$batch | awk -v n=$hosts -v steps=$((96 / batch - 2)) -v B="$summed" -v rung="$rung" '
        { host = ($3 - $1) / steps; sum += host; again[1] += $2; again[2] += $4; fewest = NR == 1 || host < fewest ? host : fewest; most = host > most ? host : most }
        END {
            least = 2 * (n - 1) / n * B
            sent = sum / NR
            buckets = int(B / 1048576) + 2
            most_expected = 1.07 * least + (buckets + 2) * 2 * (n - 1) * 256 + again[2] * 1514 / steps / n
            least_expected = least - again[1] * 1514 / steps / n
            printf "%-10s %14d %14.0f %14.0f %14.0f %14.0f %+8.2f%% %d and %d\n", rung, B, least, sent, fewest, most, 100 * (sent / least - 1), again[1], again[2]
            if (NR != n || sent < least_expected || sent > most_expected) {
                printf "FAILED: %s: %.0f bytes a host and step; %.0f to %.0f were expected\n", rung, sent, least_expected, most_expected
                exit 1
            }
        }' || failures=$((failures + 1))
done
finish
