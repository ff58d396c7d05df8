#!/bin/sh
# Tables with several labels or numbers a row, of texts and of pictures: import, training, and the metrics of their tasks.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"

printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' the a cat dog bird sat ran flew on under mat hill . good bad very >vocab.txt
awk 'BEGIN {
    print "body,tags,furry,praised,stars,weight"
    split("cat dog bird", who); split("sat ran flew", did); split("bad good", how)
    for (i = 0; i < 240; i++) {
        furry = i % 3 < 2
        praised = int(i / 3) % 2
        print "the " who[i % 3 + 1] " " did[int(i / 6) % 3 + 1] " . " how[praised + 1] "," \
            (furry ? "furry" : "") (furry && praised ? " | " : "") (praised ? "praised" : "") "," furry "," praised "," \
            (1 + 3 * praised + furry) "," (furry ? 40 : 2)
    }
}' >texts.csv
import="data import --format csv --texts texts.csv --text body --vocab vocab.txt --tokens 8 --splits train=120,val=40,gate=40,test=rest --quiet"
must "names of labels" alone $import --task multi_label --label tags --separator " | " -o listed.h5
must "a column for each label" alone $import --task multi_label --label furry,praised -o columns.h5
must "numbers" alone $import --task regression --label stars,weight --names score,kilos -o numbers.h5
# A column whose name has a comma stands in quotes, as in a CSV file; two quotes are one.
sed '1s/furry/"furry, ""soft"""/' texts.csv >quoted.csv
must "a column with a comma" alone data import --format csv --texts quoted.csv --text body --vocab vocab.txt --tokens 8 \
    --splits train=120,val=40,gate=40,test=rest --quiet --task multi_label --label '"furry, ""soft""",praised' -o quoted.h5
must "data info" alone data info quoted.h5 --json
same "labels with a comma" '["furry, \"soft\"","praised"]' "$(get out classes)"
for label in '"furry' '"furry"x' '""'; do
    bad 2 'an item in quotes ends with a quote' alone $import --task multi_label --label "$label" -o no.h5
done
must "data info" alone data info listed.h5 --json
cp out listed.json
same "labels" '["furry","praised"]' "$(get listed.json classes)"
must "data info" alone data info columns.h5 --json
same "digest of both forms of labels" "$(get listed.json digest)" "$(get out digest)"
must "data info" alone data info numbers.h5
grep -q 'regression of 2 targets' out && grep -q 'kilos' out || fail "data info of numbers: $(cat out)"

for name in listed numbers; do
    cat >$name.yaml <<YAML
output: $name
rung: scratch
data: {file: $name.h5}
model: {arch: bert-tiny, pool: mean}
train: {epochs: 4, batch: 20, shards: 2, eval_batch: 20}
optimizer: {kind: adamw}
rates: {head: 0.003, backbone: 0.003}
YAML
    must "training of $name" alone train $name.yaml --quiet
    must "eval of $name" alone eval $name --split test --json
    cp out $name.json
done
learned() { # FILE METRIC LEAST
    awk -v got="$(get "$1" "$2")" -v least="$3" 'BEGIN { exit !(got >= least) }' || fail "$2 of $1: $(get "$1" "$2"), at least $3 is wanted"
}
learned listed.json auroc 0.9
learned listed.json macro_f1 0.8
learned numbers.json spearman 0.7
awk -v got="$(get numbers.json rmse)" 'BEGIN { exit !(got > 0 && got < 9) }' || fail "RMSE of numbers: $(get numbers.json rmse)"
must "predict" alone predict numbers --quiet -o numbers.csv
head -n 1 numbers.csv | grep -q '^row,true score,true kilos,score,kilos' || fail "predictions: $(head -n 1 numbers.csv)"

# Values that are none of the task, by file, line and column.
sed '5s/,[01],\([01]\),/,yes,\1,/' texts.csv >bad.csv
bad 3 'bad.csv:5: "yes" in the column "furry"; it must be 0 or 1' alone data import --format csv --texts bad.csv --text body \
    --vocab vocab.txt --splits train=rest --task multi_label --label furry,praised -o no.h5
bad 3 'bad.csv:5: "yes" in the column "furry"; it must be a number' alone data import --format csv --texts bad.csv --text body \
    --vocab vocab.txt --splits train=rest --task regression --label stars,furry -o no.h5
bad 2 'a classification has one' alone $import --label furry,praised -o no.h5
[ ! -e no.h5 ] || fail "a refused import left a file"

# Pictures that a table lists.
data=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
python3 "$root/tools/fashion-pictures" pictures 12 >out 2>&1
code=$?
[ $code = 77 ] || [ $code = 127 ] && { cat out; echo "skipped: there are no pictures ($data); tables of pictures were not tried"; finish; }
(
    echo path,marks,length,split
    for file in pictures/*/*.png; do
        kind=$(basename "$(dirname "$file")")
        case $kind in sandal | sneaker | boot) marks='foot' length=20 ;; trouser | dress) marks='long' length=110 ;; *) marks='' length=50 ;; esac
        case $kind in boot | coat | pullover) marks="${marks:+$marks;}warm" ;; esac
        case $file in *[02468].png) split=train ;; *) split=val ;; esac
        echo "$file,$marks,$length,$split"
    done
) >pictures.csv
for task in multi_label:marks regression:length; do
    name=${task%%:*}
    must "pictures of $name" alone data import --format images --images pictures.csv --colours grey --task "$name" --label "${task#*:}" -o "$name.h5"
    cat >"$name.yaml" <<YAML
output: pictures-$name
rung: scratch
data: {file: $name.h5, gate: "", test: ""}
model: {arch: resnet20, width: 4}
train: {epochs: 6, batch: 10, shards: 2, eval_batch: 20}
rates: {head: 0.05, backbone: 0.05}
YAML
    must "training of $name" alone train "$name.yaml" --quiet
done
alone data info multi_label.h5 --json
same "marks" '["foot","long","warm"]' "$(get out classes)"
echo "pictures: AUROC $(get pictures-multi_label/summary.json val.auroc), Spearman $(get pictures-regression/summary.json val.spearman)"
learned pictures-multi_label/summary.json val.auroc 0.6
learned pictures-regression/summary.json val.spearman 0.3
bad 2 'images name one class a row in folders' alone data import --images pictures --task regression --splits train=rest -o no.h5
finish
