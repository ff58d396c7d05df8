#!/bin/sh
# Texts of like length in one shard: the same bits on any number of ranks, and in a run that goes on; the figures of padded texts.
# thaw-test: timeout=300
set -u
. "$(dirname "$0")/lib.sh"

printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' the a cat dog bird '##s' sat ran flew on under mat hill . good bad very not >vocab.txt
# From 8 to 62 tokens; most are short, and neighbours differ.
awk 'BEGIN {
    print "kind,body"
    split("cat dog bird cats dogs birds", who); split("sat ran flew", did)
    for (i = 0; i < 260; i++) {
        text = "the " who[i % 6 + 1] " " did[i % 3 + 1] (i % 2 ? " very good" : " very bad")
        for (k = i * 7 % 13; k > 8 || (k > 0 && i % 3 == 0); k--)
            text = text " on a hill ."
        print (i % 2 ? "praise" : "blame") "," text
    }
}' >texts.csv
must "import" alone data import --format csv --texts texts.csv --text body --label kind --splits train=101total,val=20total,gate=20total,test=rest \
    --vocab vocab.txt --tokens 64 -o texts.h5
make_text_backbone
cat >run.yaml <<'YAML'
output: run
data: {file: texts.h5, bucket_lengths: true}
model: {backbone: backbone.h5}
train: {epochs: 1, batch: 24, shards: 12, eval_batch: 20, log_every: 1}
optimizer: {kind: adamw}
rates: {head: 0.003, adapter: 0.003, backbone: 0.0005}
YAML

digest_of() { get "$1/summary.json" state_digest; }
losses_of() { grep '"kind":"step"' "$1/metrics.jsonl" | sed 's/.*"loss":\([^,}]*\).*/\1/'; }

# close_to TOLERANCE FILE FILE: numbers, one a line.
close_to() {
    paste "$2" "$3" | awk -v t="$1" 'NF != 2 { bad = 1 } { d = $1 - $2; if (d < 0) d = -d; if (d > t) bad = 1 } END { exit bad || NR == 0 }'
}

# near WHAT TOLERANCE FILE FILE
near() { close_to "$2" "$3" "$4" || fail "$1: $(paste "$3" "$4" | head -3)"; }

for rung in full peft prefix partial:1; do
    case $rung in full) counts="2 3 4" ;; *) counts=3 ;; esac
    case $rung in prefix) set="--set rung=peft --set peft.method=prefix" ;; *) set="--set rung=$rung" ;; esac
    for count in 1 $counts; do
        must "$rung on $count ranks" ranks "$count" train run.yaml --quiet $set --set output=$count
        [ "$count" = 1 ] || same "$rung: digest on $count ranks" "$(digest_of 1)" "$(digest_of "$count")"
        losses_of "$count" >"$count.losses"
        cmp -s 1.losses "$count.losses" || fail "$rung: losses on $count ranks differ from those on 1"
        [ "$count" = 1 ] || same "$rung: val on $count ranks" "$(get 1/summary.json val.loss)" "$(get "$count/summary.json" val.loss)"
    done
    must "$rung, padded" alone train run.yaml --quiet $set --set output=padded --set data.bucket_lengths=false
    losses_of padded >padded.losses
    # The same batches: nothing but rounding is between the two, which grows as they train.
    must "predictions" ranks 2 predict 1 --data texts.h5 --split test --quiet -o sorted.csv
    must "predictions, padded" alone predict padded --data texts.h5 --split test --quiet -o padded.csv
    # Rows differ by more than rounding: each must stand where it stood.
    for name in sorted padded; do sed 1d $name.csv | cut -d, -f 5 >$name.values; done
    near "$rung: predictions" 1e-5 sorted.values padded.values
    sort padded.values >by.value
    close_to 1e-5 by.value padded.values && fail "$rung: predictions do not tell samples apart"
    head -n 3 1.losses >first
    head -n 3 padded.losses >first.padded
    near "$rung: losses of the first steps" 2e-5 first first.padded
    [ "$(digest_of 1)" != "$(digest_of padded)" ] || fail "$rung: texts were not sorted, the digest is that of padded ones"
    rm -rf 1 2 3 4 padded
done

# Learned words in front of the text, which is what is cut.
for method in prompt; do
    more="--set rung=peft --set peft.method=$method --set peft.virtual_tokens=3"
    # shellcheck disable=SC2086
    for count in 1 2; do
        must "$method on $count ranks" ranks "$count" train run.yaml --quiet $more --set output=$count
    done
    same "$method: digest on 2 ranks" "$(digest_of 1)" "$(digest_of 2)"
    # shellcheck disable=SC2086
    must "$method, padded" alone train run.yaml --quiet $more --set output=padded --set data.bucket_lengths=false
    losses_of 1 | head -n 3 >first
    losses_of padded | head -n 3 >first.padded
    near "$method: losses of the first steps" 2e-5 first first.padded
    rm -rf 1 2 padded
done

# Features that were kept are cut like those of a step.
for mode in auto off; do
    must "partial:1, cache $mode" alone train run.yaml --quiet --set rung=partial:1 --set output=$mode --set train.cache=$mode
done
same "digest with features kept and not" "$(digest_of auto)" "$(digest_of off)"

# A run that stops in the middle of an epoch.
must "undisturbed" ranks 2 train run.yaml --quiet --set rung=full --set train.epochs=2 --set output=plain --set train.checkpoint_every=1
THAW_FAULT=kill_step:0:8
export THAW_FAULT
ranks 2 train run.yaml --quiet --set rung=full --set train.epochs=2 --set output=killed --set train.checkpoint_every=1 && fail "survived $THAW_FAULT"
unset THAW_FAULT
gone killed
must "resume on 3 ranks" ranks 3 train run.yaml --resume --set rung=full --set train.epochs=2 --set output=killed --set train.checkpoint_every=1
grep -q 'resumed after step [1-9]' err || fail "not resumed: $(cat err)"
same "digest of the resumed run" "$(digest_of plain)" "$(digest_of killed)"
must "eval" alone eval killed --quiet

# It is for texts.
make_data
cat >pictures.yaml <<'YAML'
output: pictures
rung: scratch
data: {file: source.h5, gate: "", test: "", bucket_lengths: true}
model: {arch: resnet20, width: 4}
train: {epochs: 1, batch: 30, shards: 3, eval_batch: 30}
YAML
bad 2 'data.bucket_lengths sorts texts by their length, but source.h5 holds none' alone train pictures.yaml --quiet
finish
