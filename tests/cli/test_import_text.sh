#!/bin/sh
# A sentence encoder as its package carries it becomes a backbone, whose features are those of transformers. Needs that (THAW_PEER_PYTHON).
# thaw-test: timeout=240 cores=1
set -u
. "$(dirname "$0")/lib.sh"
python=${THAW_PEER_PYTHON:-python3}
peer="$root/tests/cli/text_peer.py"
model=$("$python" "$peer" prepare)
code=$?
[ $code = 77 ] && { echo "$model"; exit 77; }
same "the package is found" 0 $code
[ $code = 0 ] || finish

must "import" alone backbone import "$model/model.safetensors" -o minilm.h5
grep -q 'minilm-l6, all 101 tensors of it; its head is not there' err || fail "what was recognised: $(cat err)"
grep -q 'left over: embeddings.position_ids, pooler.dense.bias, pooler.dense.weight' err || fail "what was left over: $(cat err)"
grep -q 'up to 512 tokens by wordpiece, vocabulary of 30522; features: mean' err || fail "the contract: $(cat err)"
alone backbone info minilm.h5 --json
same "licence of its card" apache-2.0 "$(get out licence)"
same "tokens" 512 "$(get out tokens)"
same "tokenizer" wordpiece "$(get out tokenizer)"
same "pool" mean "$(get out pool)"
must "class" alone backbone import "$model/model.safetensors" --pool class -o class.h5
must "pooler" alone backbone import "$model/model.safetensors" --pool pooler -o pooler.h5
grep -q 'left over: embeddings.position_ids$' err || fail "the pooler is left over: $(cat err)"

embed() { # BACKBONE T TEXTS single|pairs FLOATS
    "$build/cli_tool_embed" "$1" "$model/vocab.txt" "$2" "$4" <"$3" >"$5" || fail "embedding $3 with $1"
}
embed minilm.h5 64 lines single 1.bin
embed minilm.h5 24 pairs pairs 2.bin
embed class.h5 64 lines single 3.bin
embed pooler.h5 24 pairs pairs 4.bin
"$python" "$peer" compare lines 1.bin 64 mean pairs 2.bin 24 mean lines 3.bin 64 class pairs 4.bin 24 pooler || fail "features differ"

# As others write them.
must "with a head" alone backbone import head.safetensors -o head.h5
grep -q 'bert-tiny, all 39 tensors of it, and its head' err || fail "with a head: $(cat err)"
grep -q 'vocabulary of 300 (not known; name it with --vocab); features: pooler' err || fail "with a head: $(cat err)"
alone backbone info head.h5 --json
digest=$(get out digest)
must "TensorFlow's names" alone backbone import old.safetensors -o old.h5
alone backbone info old.h5 --json
same "digest with TensorFlow's names" "$digest" "$(get out digest)"
must "without pooler" alone backbone import plain.safetensors --cased -o plain.h5
grep -q 'by wordpiece cased, .* features: class' err || fail "without pooler: $(cat err)"
bad 3 'encoder.layer.1.output.dense.weight (128, 512)' alone backbone import gap.safetensors -o no.h5
bad 3 'longer.safetensors has 5 layers of 128 features, but bert-tiny, the nearest there is, has 2' alone backbone import longer.safetensors -o no.h5
bad 3 'narrow.safetensors fits no architecture .* it is a bert of 5 layers and 100 features; it has' alone backbone import narrow.safetensors -o no.h5
must "the first layers, on purpose" alone backbone import longer.safetensors --arch bert-tiny -o first.h5
bad 2 'class, mean or pooler is wanted' alone backbone import plain.safetensors --pool max -o no.h5
bad 2 'has no pooler' alone backbone import plain.safetensors --pool pooler -o no.h5
bad 3 'they do not belong together' alone backbone import plain.safetensors --vocab "$model/vocab.txt" -o no.h5
bad 3 'is empty; a line is one piece' alone backbone import plain.safetensors --vocab "$peer" -o no.h5
bad 2 'it reads images, and the weights are of a network for texts' alone backbone import plain.safetensors --arch resnet18 -o no.h5
bad 3 'tensors of bert-base are missing' alone backbone import plain.safetensors --arch bert-base -o no.h5
bad 2 'are for pictures' alone backbone import plain.safetensors --mean 0.5 --std 0.5 -o no.h5
echo '{"num_attention_heads": 4}' >config.json
bad 3 'says 4 heads of attention, but bert-tiny has 2' alone backbone import plain.safetensors -o no.h5
echo '{"hidden_act": "relu"}' >config.json
bad 3 'hidden_act "relu"; only "gelu" is built' alone backbone import plain.safetensors -o no.h5
echo '{"layer_norm_eps": "small"}' >config.json
bad 3 'layer_norm_eps' alone backbone import plain.safetensors -o no.h5
rm config.json
settings() { # FILE JSON CODE MESSAGE ARGUMENT...
    file=$1
    echo "$2" >"$file"
    code=$3 message=$4
    shift 4
    bad "$code" "$message" alone backbone import plain.safetensors -o no.h5 "$@"
    rm "$file"
}
settings tokenizer_config.json '{"do_lower_case": "yes"}' 3 'do_lower_case'
settings tokenizer_config.json '{"do_lower_case": true, "strip_accents": false}' 3 'strip_accents false for a tokenizer that drops case'
settings tokenizer_config.json '{"strip_accents": true}' 3 'strip_accents true for a tokenizer that keeps case' --cased
settings tokenizer_config.json '{"tokenize_chinese_chars": false}' 3 'tokenize_chinese_chars false'
echo '{"do_lower_case": false, "strip_accents": null, "tokenize_chinese_chars": true}' >tokenizer_config.json
must "settings that are built" alone backbone import plain.safetensors -o plain.h5
grep -q 'by wordpiece cased' err || fail "do_lower_case false: $(cat err)"
rm tokenizer_config.json
mkdir 1_Pooling
settings 1_Pooling/config.json '{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}' 3 'pooling_mode_max_tokens true, which is not built'
settings 1_Pooling/config.json '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}' 3 'both the first token and the mean'
settings 1_Pooling/config.json '{"pooling_mode_cls_token": 1}' 3 'pooling_mode_cls_token'
settings 1_Pooling/config.json '{}' 3 'neither the first token nor the mean'
echo '{"pooling_mode_cls_token": true}' >1_Pooling/config.json
must "the first token alone is named" alone backbone import head.safetensors -o plain.h5
grep -q 'features: class' err || fail "the first token alone is named: $(cat err)"
echo '{"pooling_mode_mean_tokens": true}' >1_Pooling/config.json
must "the mean alone is named" alone backbone import head.safetensors -o plain.h5
grep -q 'features: mean' err || fail "the mean alone is named: $(cat err)"
settings modules.json '[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]' 3 'has sentence_transformers.models.Dense, which is not built'
echo '[{"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}]' >modules.json
must "a last step of length 1 is named" alone backbone import head.safetensors -o plain.h5
grep -q 'scales features to length 1' err || fail "a last step of length 1 is named: $(cat err)"
[ ! -e no.h5 ] || fail "a refused import left a file"
finish
