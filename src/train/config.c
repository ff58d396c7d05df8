#include "thaw/train.h"

#include <string.h>

#include "train/train_impl.h"

/* The one table behind parsing, defaults, `--help`, the resolved config and docs/config.md. */

static const char *const reduce_words[] = {"exact", "exact64", "float", "bf16", NULL};
static const char *const precision_words[] = {"f32", "int8", NULL};
static const char *const norm_words[] = {"shard", "sync", NULL};
static const char *const recompute_words[] = {"auto", "on", "off", NULL};
static const char *const kernel_words[] = {"measure", "rule", NULL};
static const char *const weight_words[] = {"none", "balanced", NULL};
static const char *const select_words[] = {"metric", "loss", "last", NULL};
static const char *const async_words[] = {"auto", "off", NULL};
static const char *const prefetch_words[] = {"auto", "off", NULL};
static const char *const cache_words[] = {"auto", "off", NULL};
static const char *const together_words[] = {"auto", "off", NULL};
static const char *const scale_words[] = {"strong", "weak", "both", NULL};
static const char *const mode_words[] = {"sequential", "exhaustive", NULL};

#define ROW(T, key, member, kind, ctype, preset, least, most, choices, doc)                        \
    {                                                                                              \
        key, kind, THAW_FIELD(T, member, ctype), preset, least, most, choices, NULL, doc           \
    }
#define TEXT(T, key, member, preset, doc)                                                          \
    ROW(T, key, member, THAW_FIELD_STRING, char *, preset, 0, 0, NULL, doc)
#define INT(T, key, member, preset, least, most, doc)                                              \
    ROW(T, key, member, THAW_FIELD_INT, int64_t, preset, least, most, NULL, doc)
#define REAL(T, key, member, preset, least, most, doc)                                             \
    ROW(T, key, member, THAW_FIELD_DOUBLE, double, preset, least, most, NULL, doc)
#define FLAG(T, key, member, preset, doc)                                                          \
    ROW(T, key, member, THAW_FIELD_BOOL, bool, preset, 0, 0, NULL, doc)
#define WORD(T, key, member, preset, words, doc)                                                   \
    ROW(T, key, member, THAW_FIELD_ENUM, int, preset, 0, 0, words, doc)
#define TABLE(T, key, member, ctype, rows, doc)                                                    \
    {                                                                                              \
        key, THAW_FIELD_TABLE, THAW_FIELD(T, member, ctype), NULL, 0, 0, NULL, rows, doc           \
    }
#define ROW_OF_TABLES(T, key, member, rows, doc)                                                   \
    {                                                                                              \
        key, THAW_FIELD_TABLES, THAW_FIELD(T, member, thaw_tables), "", 0, 0, NULL, rows, doc      \
    }
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

static const thaw_field data_fields[] = {
    TEXT(thaw_data_config, "file", file, NULL, "dataset file made by `thaw data import`"),
    TEXT(thaw_data_config, "train", train, "train", "split that is trained on"),
    TEXT(thaw_data_config, "val", val, "val", "split for early stopping and learning rates"),
    TEXT(thaw_data_config, "gate", gate, "gate", "split for decisions between rungs (ladder)"),
    TEXT(thaw_data_config, "test", test, "test", "split opened once, at the end of a ladder"),
    ROW(thaw_data_config, "slices", slices, THAW_FIELD_STRINGS, thaw_strings, "", 0, 0, NULL,
        "slices to report; empty: all that the file has"),
    FLAG(thaw_data_config, "class_slices", class_slices, "true", "also one slice for each class"),
    REAL(
        thaw_data_config, "memory_limit_gib", memory_limit_gib, "2", 0, 1e6,
        "splits larger than this many GiB are read by rows instead of kept in memory, once a node"),
    FLAG(thaw_data_config, "bucket_lengths", bucket_lengths, "false",
         "texts of a batch, and in evaluation those of a split, are sorted by length: each shard "
         "takes those of like length and is padded to a multiple of 16 tokens that they need; the "
         "result does not depend on the ranks, but on this setting (which samples share a shard); "
         "best with several train.shards a rank"),
    WORD(thaw_data_config, "prefetch", prefetch, "auto", prefetch_words,
         "auto: of a split that is read by rows, a thread of each rank reads the next step's "
         "samples while this one computes; results do not depend on it"),
    TABLE(thaw_data_config, "augment", augment, thaw_augment, thaw_augment_fields,
          "random changes of training samples, fixed by seed, epoch and sample"),
    END};

static const thaw_field model_fields[] = {
    TEXT(thaw_model_config, "arch", arch, "",
         "architecture (see `thaw backbone list`); empty: that of the backbone file"),
    INT(thaw_model_config, "width", base_width, "0", 0, 4096,
        "channels of the first stage; 0: the architecture's own"),
    INT(thaw_model_config, "patch", patch, "0", 0, 4096,
        "side of a vision transformer's patches in pixels; 0: the backbone file's, or 16"),
    WORD(thaw_model_config, "pool", pool, "auto", thaw_pool_words,
         "features of a transformer: its first token (class), the mean of its patches or tokens, "
         "or a "
         "text's pooler; auto: as in the backbone file, else class, of texts pooler"),
    ROW(thaw_model_config, "hidden", hidden, THAW_FIELD_INTS, thaw_ints, "", 1, 1e6, NULL,
        "hidden layers of an mlp"),
    REAL(thaw_model_config, "head_dropout", head_dropout, "0", 0, 0.99,
         "dropout before the head, as a probability"),
    INT(thaw_model_config, "head_hidden", head_hidden, "0", 0, 1e6,
        "outputs of the first of the head's two linear layers; 0: the head is one layer"),
    WORD(thaw_model_config, "head_activation", head_activation, "relu", thaw_activation_words,
         "between the head's two layers"),
    FLAG(thaw_model_config, "zero_init_residual", zero_init_residual, "false",
         "where a residual network's weights are random, its blocks begin as the identity"),
    TEXT(thaw_model_config, "backbone", backbone, "",
         "backbone file; needed by every rung but scratch"),
    END};

static const thaw_field train_fields[] = {
    INT(thaw_train_config, "epochs", epochs, "20", 1, 1e6, "passes over the training split"),
    INT(thaw_train_config, "batch", batch, "48", 1, 1e7, "samples in a global batch"),
    INT(thaw_train_config, "shards", shards, "24", 1, 1e6,
        "equal parts of a batch; a multiple of the rank count, and all that results depend on"),
    INT(thaw_train_config, "eval_batch", eval_batch, "64", 1, 1e6,
        "samples evaluated together on one rank"),
    WORD(thaw_train_config, "reduce", reduce, "exact", reduce_words,
         "gradient sums: exact, exact64 (twice the bytes): the same on any rank count; float and "
         "bf16 (half the bytes, 8 bits of each number) are not"),
    FLAG(thaw_train_config, "shard_optimizer", shard_optimizer, "false",
         "each rank keeps the optimizer's state of its part of what trains, and gives the others "
         "its weights after each step; same results"),
    TEXT(thaw_train_config, "loss", loss, "auto",
         "cross_entropy, binary_cross_entropy (multi_label) or mse (regression); auto: that of the "
         "data's task"),
    TEXT(thaw_train_config, "metric", metric, "auto",
         "selects epochs and rates on val and judges rungs: accuracy, top5, macro_f1, auroc, "
         "sample_f1, rmse or "
         "spearman; auto: accuracy, for multi_label auroc, for regression rmse"),
    WORD(thaw_train_config, "batch_norm", batch_norm, "shard", norm_words,
         "statistics of a batch norm that trains: of its shard, or sync: of the whole batch, the "
         "same on any "
         "rank count (PyTorch's SyncBatchNorm), for two exchanges a norm and step and the "
         "activations "
         "of all shards of a rank"),
    REAL(
        thaw_train_config, "batch_norm_momentum", batch_norm_momentum, "0", 0, 1,
        "share of the newest batch in running statistics; 0: the architecture's own (0.1, but 0.01 "
        "of tf_ networks, too little for runs of some hundred steps)"),
    REAL(thaw_train_config, "ema", ema, "0", 0, 0.999999,
         "decay of a moving average of all that trains, running statistics too; evaluation, "
         "selection and results are the average's, training goes on without it; 0: none"),
    REAL(thaw_train_config, "label_smoothing", label_smoothing, "0", 0, 0.999,
         "share of the target spread over all classes"),
    REAL(thaw_train_config, "bss", bss, "0", 0, 1e6,
         "batch spectral shrinkage: strength of the penalty on the squares of the smallest "
         "singular values of each shard's features (0.001 in the paper); 0: none; wants few, "
         "large shards"),
    INT(thaw_train_config, "bss_values", bss_values, "1", 1, 1e6,
        "singular values that it is on; fewer than a shard has samples"),
    WORD(thaw_train_config, "class_weights", class_weights, "none", weight_words,
         "balanced: each class weighs the same whatever its count"),
    INT(thaw_train_config, "early_stopping", early_stopping, "0", 0, 1e6,
        "epochs without a better val before stopping; 0: never stop early"),
    WORD(thaw_train_config, "select", select, "metric", select_words,
         "which epoch's weights are kept, judged on val: the best metric (ties: loss), the lowest "
         "loss, or the last"),
    WORD(thaw_train_config, "cache", cache, "auto", cache_words,
         "compute the features of a frozen prefix once when inputs are deterministic"),
    REAL(thaw_train_config, "cache_limit_gib", cache_limit_gib, "1", 0, 1e6,
         "most memory for kept features on a node, in GiB; what is larger goes to a file"),
    TEXT(thaw_train_config, "cache_dir", cache_dir, "",
         "directory for files of features, best on each node's own disk; empty: TMPDIR, or `cache` "
         "below the output where TMPDIR is not set or cache_keep is"),
    FLAG(thaw_train_config, "cache_keep", cache_keep, "false",
         "keep the features in a file, for --resume and for other runs with the same cache_dir"),
    INT(thaw_train_config, "views", views, "0", 0, 10000,
        "fixed augmented views of each training sample, taken in turn by epochs and the same for "
        "all seeds, so that frozen features can be kept; 0: new ones every epoch"),
    WORD(thaw_train_config, "frozen_precision", frozen_precision, "f32", precision_words,
         "convolutions of the frozen part in 8 bits, with ranges seen on training samples, and its "
         "linear layers, with a scale for each row: faster where the CPU can; what it changes is "
         "measured and reported"),
    WORD(thaw_train_config, "recompute", recompute, "auto", recompute_words,
         "run a block's forward again in backward instead of keeping its activations; auto: when "
         "memory_gib is not enough otherwise"),
    REAL(thaw_train_config, "memory_gib", memory_gib, "0", 0, 1e6,
         "memory that a rank may plan with, in GiB; 0: its share of 80 % of the node's"),
    INT(thaw_train_config, "log_every", log_every, "10", 1, 1e9,
        "steps between rows of metrics.jsonl"),
    INT(thaw_train_config, "check_every", check_every, "100", 0, 1e9,
        "steps between comparisons of what was trained on all ranks, by digest; also before each "
        "checkpoint; 0: at the ends of epochs only"),
    INT(thaw_train_config, "checkpoint_every", checkpoint_every, "0", 0, 1e9,
        "steps between checkpoints, and one after each epoch that is the best so far; 0: one each "
        "epoch"),
    INT(thaw_train_config, "checkpoint_keep", checkpoint_keep, "2", 1, 1000,
        "newest checkpoints kept; that of the best epoch on val is kept besides"),
    REAL(thaw_train_config, "watchdog", watchdog, "600", 0, 1e6,
         "seconds without any progress of a rank after which the job says where each rank is and "
         "ends with exit code 1; 0: never (docs/faults.md)"),
    WORD(thaw_train_config, "checkpoint_async", checkpoint_async, "auto", async_words,
         "copy the state in memory and write it while training goes on; auto: where the memory of "
         "a rank has room for the copy; off, and with "
         "train.shard_optimizer: steps wait for the disk"),
    TEXT(thaw_train_config, "save_backbone", save_backbone, "",
         "also write the trained backbone to this file, with statistics of its features"),
    TEXT(thaw_train_config, "head_from", head_from, "",
         "adaptation.h5 whose head is the starting head (linear probing, then fine-tuning)"),
    TEXT(thaw_train_config, "adapter_from", adapter_from, "",
         "directory of a Hugging Face PEFT adapter (lora, rslora, dora, ia3, prompt, prefix) to go "
         "on from, with rung peft; its settings must be those of peft"),
    END};

static const thaw_field ladder_fields[] = {
    ROW(thaw_ladder_config, "rungs", rungs, THAW_FIELD_STRINGS, thaw_strings,
        "[scratch, frozen, peft, 'partial:1', full]", 0, 0, NULL,
        "rungs to try, from simple to deep; scratch and frozen are always run first"),
    INT(thaw_ladder_config, "seeds", seeds, "3", 1, 32, "runs of each rung"),
    WORD(thaw_ladder_config, "mode", mode, "exhaustive", mode_words,
         "exhaustive tries all rungs; sequential stops when one does not clearly beat the best "
         "simpler one, which saves a third of the time and misses deeper rungs that would have "
         "(docs/evidence.md)"),
    INT(thaw_ladder_config, "ranks_per_trial", ranks_per_trial, "1", 1, 1e6,
        "ranks that train one trial; results do not depend on it"),
    WORD(thaw_ladder_config, "together", together, "auto", together_words,
         "auto: where a frozen prefix runs in every step (augmentation, no room to keep its "
         "features), it runs once for several candidate rates of a rung, which go side by side on "
         "all ranks or on each group; results do not depend on it"),
    ROW(thaw_ladder_config, "search_scratch", search_scratch, THAW_FIELD_DOUBLES, thaw_doubles,
        "[0.03, 0.1, 0.3]", 1e-12, 1e3, NULL, "candidate rates of scratch (head and backbone)"),
    ROW(thaw_ladder_config, "search_head", search_head, THAW_FIELD_DOUBLES, thaw_doubles,
        "[0.03, 0.1, 0.3]", 1e-12, 1e3, NULL, "candidate head rates of the frozen rung"),
    ROW(thaw_ladder_config, "search_adapter", search_adapter, THAW_FIELD_DOUBLES, thaw_doubles,
        "[0.03, 0.1, 0.3]", 1e-12, 1e3, NULL, "candidate adapter rates of the peft rung"),
    ROW(thaw_ladder_config, "search_backbone", search_backbone, THAW_FIELD_DOUBLES, thaw_doubles,
        "[0.003, 0.01, 0.03]", 1e-12, 1e3, NULL,
        "candidate backbone rates of partial and full; the head keeps the frozen rung's rate"),
    FLAG(thaw_ladder_config, "head_from_frozen", head_from_frozen, "true",
         "partial and full start from the frozen rung's head (LP-FT, Kumar et al. 2022)"),
    REAL(thaw_ladder_config, "min_effect", min_effect, "0.01", 0, 1,
         "smallest gain in the score that is worth a deeper rung: a share, 0.01 is one point"),
    REAL(thaw_ladder_config, "margin", margin, "0.01", 0, 1,
         "differences surely below this count as equivalent"),
    REAL(thaw_ladder_config, "alpha", alpha, "0.05", 1e-6, 0.5,
         "error rate of a clear gain over all rungs (Holm)"),
    REAL(thaw_ladder_config, "confidence", confidence, "0.95", 0.5, 0.9999,
         "level of the intervals"),
    REAL(thaw_ladder_config, "power", power, "0.8", 0.5, 0.999,
         "power for the smallest detectable difference"),
    REAL(thaw_ladder_config, "slice_tolerance", slice_tolerance, "0.02", 0, 1,
         "a deeper rung must not surely lose more than this on any slice"),
    REAL(thaw_ladder_config, "slice_floor", slice_floor, "0", 0, 1,
         "a slice surely below this score (of classes: accuracy) is failing and justifies going "
         "deeper; 0: none"),
    INT(thaw_ladder_config, "resamples", resamples, "10000", 100, 1e7, "bootstrap resamples"),
    END};

static const thaw_field machine_fields[] = {
    REAL(thaw_machine_config, "alpha", alpha, "0", 0, 1,
         "seconds that each of log2(ranks) steps of an all-reduce takes at least; 0: as fitted"),
    REAL(thaw_machine_config, "beta", beta, "0", 0, 1,
         "seconds a byte: 8e-11 for 100 Gbit/s; 0: as fitted"),
    INT(thaw_machine_config, "ranks_per_node", ranks_per_node, "1", 1, 4096,
        "ranks that share a node, whose sums are added before they leave it"),
    ROW(thaw_machine_config, "ranks", ranks, THAW_FIELD_INTS, thaw_ints, "", 1, 1e7, NULL,
        "rank counts to extrapolate to; empty: none"),
    END};

static const thaw_field scale_fields[] = {
    ROW(thaw_scale_config, "rungs", rungs, THAW_FIELD_STRINGS, thaw_strings, "", 0, 0, NULL,
        "rungs to time; empty: those of the ladder"),
    ROW(thaw_scale_config, "ranks", ranks, THAW_FIELD_INTS, thaw_ints, "[1, 2, 4, 8]", 1, 1e6, NULL,
        "rank counts, ascending; each divides train.shards and the largest one"),
    WORD(thaw_scale_config, "mode", mode, "both", scale_words,
         "strong: the batch of train on every rank count; weak: on fewer ranks than the most a "
         "part of it, so that each rank always has the same work"),
    INT(thaw_scale_config, "steps", steps, "20", 1, 1e6, "steps that are timed, each time"),
    INT(thaw_scale_config, "warmup", warmup, "3", 1, 1e6, "steps before them"),
    INT(thaw_scale_config, "repeats", repeats, "3", 1, 1000,
        "times that each rank count has its turn, so that slow drifts of the machine show"),
    TABLE(thaw_scale_config, "machine", machine, thaw_machine_config, machine_fields,
          "a machine to extrapolate to"),
    END};

const thaw_field thaw_config_fields[] = {
    TEXT(thaw_config, "name", name, "run", "what reports call it"),
    TEXT(thaw_config, "output", output, NULL, "directory for everything that is written"),
    INT(thaw_config, "seed", seed, "1", 0, 9e15, "fixes every random choice"),
    TEXT(thaw_config, "backend", backend, "auto", "kernels: auto, onednn, openblas, native or ref"),
    WORD(thaw_config, "kernels", kernels, "measure", kernel_words,
         "algorithms of convolutions: the fastest measured on this CPU, kept in the user's cache "
         "directory and recorded in the run, or a fixed rule"),
    TEXT(thaw_config, "rung", rung, "frozen",
         "for `thaw train`: scratch, frozen, peft, partial:K, partial:first:K, partial:NAMES, "
         "full; with "
         "phases leave it out: it is that of the last one"),
    REAL(thaw_config, "log_seconds", log_seconds, "10", 0.1, 1e6,
         "seconds between progress lines when the output is not a terminal"),
    TABLE(thaw_config, "data", data, thaw_data_config, data_fields, "dataset and its splits"),
    TABLE(thaw_config, "model", model, thaw_model_config, model_fields, "network and backbone"),
    TABLE(thaw_config, "peft", peft, thaw_peft, thaw_peft_fields, "surface of the peft rung"),
    TABLE(thaw_config, "train", train, thaw_train_config, train_fields, "training loop"),
    TABLE(thaw_config, "optimizer", optimizer, thaw_optim_config, thaw_optim_fields, "optimizer"),
    TABLE(thaw_config, "schedule", schedule, thaw_schedule, thaw_schedule_fields,
          "learning-rate schedule"),
    TABLE(thaw_config, "rates", rates, thaw_rates, thaw_rates_fields,
          "learning rates of the groups"),
    TABLE(thaw_config, "limit", limit, thaw_limit_config, thaw_limit_fields,
          "how far the backbone may move"),
    TABLE(thaw_config, "watch", watch, thaw_watch_config, thaw_beside_fields,
          "val beside that of training from scratch, to notice negative transfer early"),
    ROW_OF_TABLES(
        thaw_config, "phases", phases, thaw_phase_fields,
        "parts of a run that train one after another, each with a rung and rates of its own; "
        "none: `rung` all the time"),
    TABLE(thaw_config, "ladder", ladder, thaw_ladder_config, ladder_fields, "thaw ladder"),
    TABLE(thaw_config, "scale", scale, thaw_scale_config, scale_fields, "thaw scale"),
    END};

thaw_status thaw_config_at(const thaw_conf *conf, const char *path, thaw_status status)
{
    if (status == THAW_OK)
        return THAW_OK;
    char message[sizeof thaw_error_last()->message];
    thaw_copy(message, sizeof message, thaw_error_last()->message);
    return thaw_conf_error_at(conf, path, "%s", message);
}

/* A trial's directory is named by its rate. */
static thaw_status check_distinct(const thaw_conf *conf, const char *path,
                                  const thaw_doubles *rates)
{
    for (int64_t i = 1; i < rates->count; i++) {
        for (int64_t j = 0; j < i; j++) {
            if (rates->items[j] == rates->items[i])
                return thaw_conf_error_at(conf, path, "names %g twice", rates->items[i]);
        }
    }
    return THAW_OK;
}

static thaw_status check_search(const thaw_conf *conf, const thaw_ladder_config *l)
{
    const struct {
        const char *path;
        const thaw_doubles *list;
    } lists[] = {{"ladder.search_scratch", &l->search_scratch},
                 {"ladder.search_head", &l->search_head},
                 {"ladder.search_adapter", &l->search_adapter},
                 {"ladder.search_backbone", &l->search_backbone}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (lists[i].list->count < 1)
            return thaw_conf_error_at(conf, lists[i].path, "is empty; give at least one rate");
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (lists[i].list->count != l->search_head.count)
            return thaw_conf_error_at(
                conf, lists[i].path,
                "has %lld rates but search_head has %lld; every rung gets the same "
                "search budget, so the lists must be equally long",
                (long long)lists[i].list->count, (long long)l->search_head.count);
        THAW_TRY(check_distinct(conf, lists[i].path, lists[i].list));
    }
    return THAW_OK;
}

static thaw_status check_rungs(const thaw_conf *conf, const thaw_config *c)
{
    thaw_rung rung;
    THAW_TRY(thaw_config_at(conf, "rung", thaw_rung_parse(c->rung, &rung)));
    if (c->ladder.rungs.count < 1)
        return thaw_conf_error_at(conf, "ladder.rungs", "is empty; name at least one rung");
    for (int64_t i = 0; i < c->ladder.rungs.count; i++) {
        char path[64];
        thaw_format(path, sizeof path, "ladder.rungs.%lld", (long long)i);
        THAW_TRY(thaw_config_at(conf, path, thaw_rung_parse(c->ladder.rungs.items[i], &rung)));
        for (int64_t j = 0; j < i; j++) {
            if (strcmp(c->ladder.rungs.items[i], c->ladder.rungs.items[j]) == 0)
                return thaw_conf_error_at(conf, path, "'%s' is named twice",
                                          c->ladder.rungs.items[i]);
        }
    }
    return THAW_OK;
}

/* Whether they fit the task is seen when the data are open. */
static thaw_status check_names(const thaw_conf *conf, const thaw_train_config *t)
{
    if (strcmp(t->loss, "auto") != 0 && thaw_loss_find(t->loss) == NULL)
        return thaw_conf_error_at(conf, "train.loss",
                                  "unknown loss '%s'; there are auto, cross_entropy, "
                                  "binary_cross_entropy and mse",
                                  t->loss);
    if (strcmp(t->metric, "auto") != 0 && thaw_metric_find(t->metric) == NULL)
        return thaw_conf_error_at(conf, "train.metric",
                                  "unknown metric '%s'; there are auto, accuracy, top5, macro_f1, "
                                  "auroc, sample_f1, rmse and spearman",
                                  t->metric);
    return THAW_OK;
}

/* A setting that the method does not read would be a wish that nobody hears. */
static thaw_status check_peft(const thaw_conf *conf, const thaw_peft *p)
{
    const char *method = thaw_peft_names()[p->method];
    thaw_peft preset;
    thaw_peft_defaults(&preset);
    const struct {
        const char *path, *of;
        bool given;
    } settings[] = {
        {"peft.rank", "lora", p->rank != preset.rank},
        {"peft.alpha", "lora", p->alpha != preset.alpha},
        {"peft.rslora", "lora", p->rslora},
        {"peft.dora", "lora", p->dora},
        {"peft.lora_plus", "lora", p->lora_plus != preset.lora_plus},
        {"peft.dropout", "lora", p->dropout != 0},
        {"peft.targets", "lora, ia3, ssf, houlsby, pfeiffer", p->targets.count > 0},
        {"peft.bottleneck", "houlsby, pfeiffer", p->bottleneck != 0},
        {"peft.virtual_tokens", "prompt, prefix, vpt", p->virtual_tokens != preset.virtual_tokens},
        {"peft.deep", "vpt", p->deep},
        {"peft.feedforward", "ia3", p->feedforward.count > 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (settings[i].given && strstr(settings[i].of, method) == NULL)
            return thaw_conf_error_at(
                conf, settings[i].path,
                "is a setting of %s, and peft.method %s does not read it; leave it out",
                settings[i].of, method);
    }
    return THAW_OK;
}

/* The same for what another setting switches on. */
static thaw_status check_unread(const thaw_conf *conf, const thaw_config *c)
{
    const thaw_augment *a = &c->data.augment;
    thaw_augment preset;
    THAW_TRY(thaw_fields_default(thaw_augment_fields, &preset));
    const struct {
        const char *path, *owner;
        bool given, on;
    } settings[] = {
        {"data.augment.rand_magnitude", "rand_ops", a->rand_magnitude != preset.rand_magnitude,
         a->rand_ops > 0},
        {"data.augment.crop_aspect_most", "crop_area_least",
         a->crop_aspect_most != preset.crop_aspect_most, a->crop_area_least > 0},
        {"data.augment.crop_fill", "crop_padding", a->crop_fill != preset.crop_fill,
         a->crop_padding > 0},
        {"data.augment.erase_area_least", "erase_probability",
         a->erase_area_least != preset.erase_area_least, a->erase_probability > 0},
        {"data.augment.erase_area_most", "erase_probability",
         a->erase_area_most != preset.erase_area_most, a->erase_probability > 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (settings[i].given && !settings[i].on)
            return thaw_conf_error_at(
                conf, settings[i].path,
                "is read where data.augment.%s is above 0; set it, or leave this out",
                settings[i].owner);
    }
    if (c->train.views > 0 && thaw_augment_none(&c->data.augment))
        return thaw_conf_error_at(conf, "train.views",
                                  "is read where data.augment changes samples, and it does not; "
                                  "leave it out");
    return THAW_OK;
}

static thaw_status check_all(const thaw_conf *conf, const thaw_config *c)
{
    if (c->output[0] == '\0')
        return thaw_conf_error_at(conf, "output", "is empty; name a directory");
    if (c->train.shards > c->train.batch)
        return thaw_conf_error_at(
            conf, "train.shards",
            "%lld shards cannot share a batch of %lld; choose shards <= batch",
            (long long)c->train.shards, (long long)c->train.batch);
    if (c->train.batch % c->train.shards != 0)
        return thaw_conf_error_at(conf, "train.batch", "%lld is not divisible by train.shards %lld",
                                  (long long)c->train.batch, (long long)c->train.shards);
    if (c->train.bss > 0 && c->train.batch / c->train.shards <= c->train.bss_values)
        return thaw_conf_error_at(conf, "train.bss",
                                  "a shard of %lld samples has no more singular values than the "
                                  "%lld that train.bss_values takes, so there would be no smallest "
                                  "ones; use fewer train.shards",
                                  (long long)(c->train.batch / c->train.shards),
                                  (long long)c->train.bss_values);
    if (c->train.bss == 0 && c->train.bss_values != 1)
        return thaw_conf_error_at(conf, "train.bss_values",
                                  "is read where train.bss is above 0; set it, or leave this out");
    THAW_TRY(thaw_config_at(conf, "optimizer", thaw_optim_config_check(&c->optimizer)));
    THAW_TRY(thaw_config_at(conf, "schedule", thaw_schedule_check(&c->schedule)));
    if (c->model.arch[0] != '\0') {
        const thaw_model_arch *arch;
        THAW_TRY(thaw_config_at(conf, "model.arch", thaw_model_arch_find(c->model.arch, &arch)));
    }
    bool backend_known = strcmp(c->backend, "auto") == 0;
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++)
        backend_known = backend_known || strcmp(*name, c->backend) == 0;
    if (!backend_known)
        return thaw_conf_error_at(conf, "backend", "unknown backend '%s'; see `thaw info`",
                                  c->backend);
    THAW_TRY(check_names(conf, &c->train));
    THAW_TRY(check_rungs(conf, c));
    THAW_TRY(thaw_phases_check(conf, c));
    THAW_TRY(thaw_limit_check(conf, c));
    THAW_TRY(thaw_beside_check(conf, c));
    THAW_TRY(check_peft(conf, &c->peft));
    THAW_TRY(check_unread(conf, c));
    return check_search(conf, &c->ladder);
}

thaw_status thaw_config_parse(const char *name, const char *text, size_t bytes,
                              const thaw_strings *overrides, thaw_config *out)
{
    thaw_conf *conf = NULL;
    memset(out, 0, sizeof *out);
    thaw_status status;
    THAW_TRY_TO(thaw_conf_parse_text(name, text, bytes, overrides, &conf));
    THAW_TRY_TO(thaw_conf_fill(conf, thaw_config_fields, "", out));
    status = check_all(conf, out);
    if (status == THAW_OK)
        status = thaw_phases_name_rung(conf, out);
    if (status != THAW_OK)
        thaw_config_clear(out);
done:
    thaw_conf_free(&conf);
    return status;
}

thaw_status thaw_config_load(const char *path, const thaw_strings *overrides, thaw_config *out)
{
    thaw_str text = {0};
    memset(out, 0, sizeof *out);
    thaw_status status = thaw_file_read(path, &text);
    if (status != THAW_OK)
        status = THAW_FAIL(THAW_ERR_CONFIG,
                           "%s: cannot read the config: no such file, or not readable", path);
    else
        status = thaw_config_parse(path, thaw_str_c(&text), text.length, overrides, out);
    thaw_str_clear(&text);
    return status;
}

const char *thaw_reduce_name(const thaw_config *config)
{
    return reduce_words[config->train.reduce];
}

void thaw_config_clear(thaw_config *config)
{
    thaw_fields_clear(thaw_config_fields, config);
}

thaw_status thaw_config_copy(const thaw_config *from, thaw_config *to)
{
    return thaw_fields_copy(thaw_config_fields, to, from);
}
