#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"task", 't', "NAME",
     "classification (default), multi_label or regression: what the labels are"},
    {"format", 'f', "NAME",
     "idx, hdf5, npy, csv or tsv (texts), or images; default: by the first bytes of the first "
     "file; "
     "images for a folder"},
    {"images", 0, "FILE[,FILE]",
     "samples; hdf5: FILE:DATASET; images: DIR with a folder per class, or a CSV file; may be "
     "repeated"},
    {"texts", 0, "FILE[,FILE]", "csv, tsv: tables with a text a row; the first row names columns"},
    {"labels", 0, "FILE[,FILE]", "labels, one file for each of --images"},
    {"layout", 0, "NAME", "order of a sample's dimensions: chw (default) or hwc"},
    {"clusters", 0, "FILE[,FILE]",
     "ids of samples that belong together (patient, site), resampled together"},
    {"select", 0, "CLASS[,CLASS]", "source classes to keep, in the order of their new labels"},
    {"names", 0, "NAME[,NAME]", "names of the kept classes, or of all source classes"},
    {"splits", 0, "NAME=AMOUNT[@SOURCE]",
     "AMOUNT: N a class (in all, of other tasks), N%, Ntotal or rest; drawn in order, disjoint"},
    {"slices", 0, "NAME=CLASS[+CLASS]", "named subset; or NAME=source:N, NAME=mask:FILE"},
    {"mean", 0, "X[,X]", "normalisation of each channel; default: measured on train"},
    {"std", 0, "X[,X]", "the same for the standard deviation"},
    {"origin", 0, "TEXT", "where the data are from, kept in the file"},
    {"licence", 0, "TEXT", "their licence, kept in the file"},
    {"seed", 0, "N", "fixes which samples go where (default 1)"},
    {"size", 0, "S", "pictures: S x S pixels; default: they have one size already"},
    {"shorter", 0, "R",
     "pictures: the shorter side becomes R, then the middle S x S is cut out; default: R = S"},
    {"fit", 0, "NAME", "pictures: crop (default), or squash, which distorts to S x S"},
    {"filter", 0, "NAME", "pictures: bilinear (default) or bicubic, both antialiased"},
    {"colours", 0, "NAME", "pictures: rgb (default), or grey for networks with one channel"},
    {"vocab", 0, "FILE",
     "texts: vocabulary of the network that is to read them: vocab.txt, vocab.json beside its "
     "merges.txt, or tokenizer.json"},
    {"cased", 0, NULL, "texts: letters keep case and accents, for a network that tells them apart"},
    {"tokens", 0, "T", "texts: tokens of each; longer ones are cut (default 128)"},
    {"quotes", 0, "NAME",
     "texts: csv (default), fields may stand in double quotes; none: quotes are part of the texts"},
    {"text", 0, "COLUMN", "texts: column of the text (default text)"},
    {"text-pair", 0, "COLUMN", "texts: column of a second text, for pairs"},
    {"label", 0, "COLUMN[,COLUMN]",
     "tables: column of the class or labels (default label), or a column for each label or number"},
    {"separator", 0, "TEXT",
     "tables: what stands between labels in one column of multi_label (default ;)"},
    {"split", 0, "COLUMN", "tables: column of the split (default: split, if there is one)"},
    {"slice", 0, "COLUMN",
     "tables: column of slices, with ; between them (default: slices, if there is one)"},
    {"cluster", 0, "COLUMN", "tables: column of the cluster (default: cluster, if there is one)"},
    {"broken", 0, "SHARE",
     "pictures: share of the files that may be unreadable and are left out (default 0)"},
    {"output", 'o', "FILE", "dataset file to write"},
    {0}};

/* The directory of the file to write, as other commands make theirs. */
static thaw_status make_parent(const char *path)
{
    thaw_str parent = {0};
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    if (slash == NULL || slash == path)
        return THAW_OK;
    thaw_str_add_bytes(&parent, path, (size_t)(slash - path));
    const thaw_status status = thaw_mkdirs(thaw_str_c(&parent));
    thaw_str_clear(&parent);
    return status;
}

/* What was written, as the file says it. */
static thaw_status print_json(const char *file)
{
    thaw_dataset *ds = NULL;
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .unlabelled = true};
    THAW_TRY(thaw_dataset_open(file, &how, &ds));
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "file", file);
    thaw_json_set_string(out, "task", thaw_task_name(thaw_dataset_task(ds)));
    thaw_json_set_digest(out, "digest", thaw_dataset_digest(ds));
    thaw_json *splits = thaw_json_set_object(out, "splits");
    for (int64_t i = 0; i < thaw_dataset_split_count(ds); i++)
        thaw_json_set_int(splits, thaw_dataset_split_name(ds, i), thaw_dataset_count(ds, i));
    cli_print_json(out);
    thaw_json_free(&out);
    thaw_dataset_free(&ds);
    return THAW_OK;
}

static thaw_status run(const cli_args *args)
{
    thaw_import import;
    thaw_status status = THAW_OK;
    thaw_import_init(&import);
    for (int i = 0; i < args->given_count && status == THAW_OK; i++) {
        for (const cli_option *o = options; o->name != NULL; o++) {
            if (strcmp(o->name, args->given[i].name) == 0)
                status = thaw_import_set(&import, o->name, o->value ? args->given[i].value : "yes");
            if (status != THAW_OK)
                break;
        }
    }
    if (status == THAW_OK && import.output != NULL)
        status = thaw_output_check(import.output, true);
    if (status == THAW_OK)
        status = thaw_import_check(&import);
    if (status == THAW_OK)
        status = make_parent(import.output);
    if (status == THAW_OK)
        status = thaw_import_run(&import);
    if (status == THAW_OK)
        THAW_LOG(THAW_INFO, "wrote %s", import.output);
    if (status == THAW_OK && args->json)
        status = print_json(import.output);
    thaw_import_clear(&import);
    return status;
}

const cli_command cli_data_import = {
    .usage = "--images FILE [--labels FILE] --splits NAME=AMOUNT,... -o FILE [option ...]",
    .doc = "makes a dataset file from IDX, HDF5, NumPy, JPEG or PNG files, or tables of texts: "
           "splits, slices, class names",
    .help =
        "Splits are drawn without replacement, so they are disjoint; the same options give the "
        "same file. Example:\n"
        "  thaw data import --images train-images.gz --labels train-labels.gz --select "
        "5=Sandal,7=Sneaker \\\n"
        "      --splits train=50,val=40,gate=200,test=rest --slices sandals=Sandal -o shoes.h5\n"
        "  thaw data import --images photos --size 224 --shorter 256 --splits "
        "train=70%,val=10%,gate=10%,test=rest -o photos.h5\n"
        "  thaw data import --format tsv --texts mails.tsv --text body --label kind --vocab "
        "vocab.txt --tokens 64 \\\n"
        "      --splits train=70%,val=10%,gate=10%,test=rest -o mails.h5",
    .options = options,
    .run_local = run,
};
