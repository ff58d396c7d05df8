#!/bin/sh
# Texts from a table to predictions: import, a small BERT from scratch as backbone, every rung on it, and what does not fit together.
# thaw-test: timeout=240 cores=1
set -u
. "$(dirname "$0")/lib.sh"

make_texts
import="data import --format csv --texts texts.csv --text body --label kind --splits train=40,val=10,gate=20,test=rest"
must "import" alone $import --vocab vocab.txt --tokens 16 -o texts.h5
grep -q '240 texts read; the longest has 13 tokens, 0 are cut to 16' err || fail "what was read: $(cat err)"
alone data info texts.h5 --json
same "classes" '["blame","praise"]' "$(get out classes)"
same "shape" '[1,16,1]' "$(get out shape)"
same "tokenizer" wordpiece "$(get out tokenizer)"
digest=$(get out digest)
must "import again" alone $import --vocab vocab.txt --tokens 16 -o again.h5
alone data info again.h5 --json
same "digest of the same import" "$digest" "$(get out digest)"
must "cut" alone $import --vocab vocab.txt --tokens 5 -o cut.h5
grep -q '240 are cut to 5 (100.0%)' err || fail "what was cut: $(cat err)"

make_text_backbone ", pool: mean"
alone backbone info backbone.h5 --json
same "pool" mean "$(get out pool)"
same "tokens" 16 "$(get out tokens)"
grep -q "$(get out vocabulary)" out || fail "no vocabulary in the backbone"

cat >run.yaml <<'YAML'
output: run
data: {file: texts.h5}
model: {backbone: backbone.h5}
train: {epochs: 2, batch: 20, shards: 2, eval_batch: 20}
optimizer: {kind: adamw}
rates: {head: 0.01, adapter: 0.01, backbone: 0.0005}
YAML
for rung in frozen peft partial:1 full; do
    must "$rung on 1 rank" alone train run.yaml --quiet --set rung=$rung --set output=one
    one=$(tail -n 1 out)
    must "$rung on 2 ranks" ranks 2 train run.yaml --quiet --set rung=$rung --set output=two
    same "$rung on 1 and 2 ranks: accuracy and loss" "$(echo "$one" | cut -d, -f 1,2)" "$(tail -n 1 out | cut -d, -f 1,2)"
    must "eval of $rung" alone eval one --quiet
    must "predictions of $rung" alone predict one --data texts.h5 --split test --quiet -o predictions.csv
    [ $rung = full ] || rm -rf one
    rm -rf two
done
# A prefix leaves as the one table that PEFT has and comes back from it: the same network, but for a step of next to nothing.
prefix="--set rung=peft --set peft.method=prefix --set peft.virtual_tokens=3"
must "prefix" alone train run.yaml --quiet $prefix --set output=prefix
must "prefix for PEFT" alone export prefix --format peft --quiet -o adapter
must "going on from it" alone train run.yaml --quiet $prefix --set output=on --set train.adapter_from=adapter \
    --set train.epochs=1 --set rates.head=1e-12 --set rates.adapter=1e-12 --set optimizer.weight_decay=0
same "loss of a prefix that came back" "$(printf %.4f "$(get prefix/summary.json val.loss)")" "$(printf %.4f "$(get on/summary.json val.loss)")"
for word in '"prompt_embeddings":{"dtype":"F32","shape":[3,512]' '"base_model.classifier.weight"'; do
    head -c 4000 adapter/adapter_model.safetensors | tr -d '\0 ' | grep -aqF "$word" || fail "the adapter does not say $word"
done
sed -i 's/"num_virtual_tokens":.*3/"num_virtual_tokens": 5/' adapter/adapter_config.json
bad 3 "'prompt_embeddings' is .*, but the network has" alone train run.yaml $prefix --set peft.virtual_tokens=5 --set output=no --set train.adapter_from=adapter

must "export" alone export one --format safetensors -o full.safetensors --quiet
grep -q "by pool mean, but the head of transformers' BertForSequenceClassification reads those by pooler" err || fail "no warning of the pool: $(cat err)"
for word in '"tokenizer":"wordpiece"' '"pool":"mean"' '"arch":"bert-tiny"'; do
    head -c 4000 full.safetensors | tr -d '\\0 ' | grep -aq "$word" || fail "the exported weights do not say $word"
done
head -c 4000 full.safetensors | grep -aq input_mean && fail "the exported weights of texts have a mean"
same "lines of predictions" 101 "$(wc -l <predictions.csv)"

# What does not fit.
sed 's/^not$/never/' vocab.txt >other.txt
must "another vocabulary" alone $import --vocab other.txt --tokens 16 -o other.h5
bad 3 'with the vocabulary' alone train run.yaml --set rung=frozen --set data.file=other.h5
must "another case" alone $import --vocab vocab.txt --cased --tokens 16 -o cased.h5
bad 3 'made with wordpiece cased' alone train run.yaml --set rung=frozen --set data.file=cased.h5
# A backbone that does not name its vocabulary: there is no vocab.txt beside it.
must "texts of 512 tokens" alone $import --vocab vocab.txt --tokens 512 -o long.h5
must "a backbone of 512 tokens" alone train pretrain.yaml --quiet --set data.file=long.h5 --set output=long --set train.save_backbone=long_backbone.h5
mkdir bare
must "its weights" alone export long --format safetensors --quiet -o bare/model.safetensors
must "without a vocabulary" alone backbone import bare/model.safetensors -o bare.h5
grep -q 'features: mean' err || fail "the pool that was exported: $(cat err)"
must "on trust" alone train run.yaml --set rung=frozen --set model.backbone=bare.h5 --set output=trust
same "warnings of a vocabulary that is not known" 1 "$(grep -c 'bare.h5 does not say which vocabulary it reads' err)"
(cat vocab.txt; echo more) >more.txt
must "a larger vocabulary" alone $import --vocab more.txt --tokens 16 -o more.h5
bad 3 'more.h5 was made with a vocabulary of 23 pieces, but the table of tokens in bare.h5 has 22 rows' \
    alone train run.yaml --set rung=frozen --set model.backbone=bare.h5 --set data.file=more.h5
must "longer" alone $import --vocab vocab.txt --tokens 17 -o longer.h5
bad 3 'reads up to 16 tokens' alone train run.yaml --set rung=frozen --set data.file=longer.h5
for rung in partial:1 peft; do
    bad 2 'of a network for texts only rung frozen has a frozen part' alone train run.yaml --set rung=$rung --set train.frozen_precision=int8
done
bad 2 'changes pictures' alone train run.yaml --set rung=frozen --set data.augment.flip=true
bad 2 'the data are text' alone train pretrain.yaml --overwrite --set model.arch=resnet20 --set model.pool=auto
make_data
bad 3 'reads texts, but source.h5 has pictures' alone train run.yaml --set rung=frozen --set data.file=source.h5
finish
