/* thaw/data.h - the dataset file, the order of samples, augmentation, and importers.
 *
 * Life of data: an importer turns foreign files into one dataset file (docs/dataset-format.md) with disjoint splits;
 * training opens it read-only on every rank; a sampler says which samples a shard of a step has; thaw_dataset_read
 * gives them as normalised floats; thaw_augment_batch changes them. Nothing here communicates: everything is a
 * function of (file, seed, epoch, step, sample), so every rank finds its own part.
 *
 * A sample is (C, H, W); a flat sample of D features is (D, 1, 1); a text of T tokens is (1, T, 1), or with their types (2, T, 1). Of each sample there is one class 0..K-1, or K labels that
 * hold or not, or K numbers, by the task. A bad file gives
 * THAW_ERR_INPUT with the path, the row and the value; a bad option of an import gives THAW_ERR_USAGE. */
#ifndef THAW_DATA_H
#define THAW_DATA_H

#include "thaw/base.h"
#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Dataset file ----------------------------------------------------------------------------------------- */

/* A dataset file, open for reading. Immutable after opening, apart from its normalisation. */
typedef struct thaw_dataset thaw_dataset;

typedef struct thaw_dataset_options {
    int64_t
        memory_limit_bytes; /* splits whose x is larger are read by rows; 0: 2 GiB; negative: all by rows */
    bool
        unlabelled; /* accept splits without y and train without some class (prediction on new data) */
    bool no_class_slices; /* leave out the slices "class:<name>" that are derived from the labels */
    bool place_x;         /* the caller gives memory for x: see thaw_dataset_place_x */
} thaw_dataset_options;

/* Opens and checks a dataset file. options may be NULL. Labels, clusters, ids and slices are in memory afterwards; so
 * is x of every split within the limit.
 * THAW_ERR_INPUT: not HDF5, truncated, another format or version, a dataset missing, shapes that differ between splits,
 * a label out of range, a NaN or infinite value, an empty split, a class without a train sample, a label or target that is the same in
 * all of train, an id in two splits
 * or twice in one, sizes that differ from those recorded at import. */
THAW_NODISCARD thaw_status thaw_dataset_open(const char *path, const thaw_dataset_options *options,
                                             thaw_dataset **out);
void thaw_dataset_free(thaw_dataset **ds);

/* After opening with options.place_x nothing of x was read and no digest compared. Then, for each split that is to be in memory (one copy for
 * several processes): x_bytes (0: above the limit, stays in the file); load_x reads x into memory of that size; place_x says where it
 * lies from now on, which must outlive ds. Last comes settle; the splits without a place are read by rows.
 * load_x, settle: THAW_ERR_INPUT as thaw_dataset_open. */
int64_t thaw_dataset_x_bytes(const thaw_dataset *ds, int64_t split);
THAW_NODISCARD thaw_status thaw_dataset_load_x(const thaw_dataset *ds, int64_t split, void *memory);
void thaw_dataset_place_x(thaw_dataset *ds, int64_t split, void *memory);
THAW_NODISCARD thaw_status thaw_dataset_settle(thaw_dataset *ds);

const char *thaw_dataset_path(const thaw_dataset *ds);
/* Of one sample: always three dimensions (C, H, W). */
thaw_shape thaw_dataset_shape(const thaw_dataset *ds);
int64_t thaw_dataset_values(const thaw_dataset *ds); /* C*H*W */
thaw_dtype thaw_dataset_dtype(
    const thaw_dataset *ds); /* as stored: THAW_U8 or THAW_F32; THAW_I32: tokens of texts */

/* How texts became tokens, as far as the file says. */
typedef struct thaw_text_info {
    char *tokenizer;  /* "wordpiece", "bpe", ... (thaw_vocabulary); "": unknown */
    char *vocabulary; /* its digest, 32 hex digits; "": unknown */
    int64_t pieces;   /* of the vocabulary: ids are below it; 0: unknown */
    int64_t pad_id;   /* what texts are padded with */
} thaw_text_info;
const thaw_text_info *thaw_dataset_text(const thaw_dataset *ds); /* NULL: no texts */
thaw_task thaw_dataset_task(const thaw_dataset *ds);
int64_t thaw_dataset_classes(const thaw_dataset *ds); /* K classes, labels or targets */
const char *const *thaw_dataset_class_names(const thaw_dataset *ds); /* their names */
/* Digest of the content: what was trained on. Independent of the path and of HDF5's layout. */
thaw_digest thaw_dataset_digest(const thaw_dataset *ds);

/* Splits, in the order of their names. find gives -1 when absent; need gives THAW_ERR_USAGE naming those there are. */
int64_t thaw_dataset_split_count(const thaw_dataset *ds);
const char *thaw_dataset_split_name(const thaw_dataset *ds, int64_t split);
int64_t thaw_dataset_split_find(const thaw_dataset *ds, const char *name);
THAW_NODISCARD thaw_status thaw_dataset_split_need(const thaw_dataset *ds, const char *name,
                                                   int64_t *split);
int64_t thaw_dataset_count(const thaw_dataset *ds, int64_t split); /* N */
/* Arrays of N that live as long as the dataset; NULL when the file has none. */
const int32_t *thaw_dataset_labels(const thaw_dataset *ds, int64_t split); /* of a classification */
/* (N, K): 0 or 1 of a multi-label task, numbers of a regression; NULL otherwise. */
const float *thaw_dataset_targets(const thaw_dataset *ds, int64_t split);
/* Mean and standard deviation (divided by N) of each target of a regression, K each; the split must have targets. */
void thaw_dataset_target_moments(const thaw_dataset *ds, int64_t split, double *mean, double *std);
const int32_t *thaw_dataset_clusters(const thaw_dataset *ds, int64_t split);
const int64_t *thaw_dataset_ids(const thaw_dataset *ds, int64_t split);

/* Slices: named subsets, the same names in every split. The stored ones come first, in the order of their names, then
 * "class:<name>" for each class, or "label:<name>" for each label, unless the options say no. need is for names from a config. */
int64_t thaw_dataset_slice_count(const thaw_dataset *ds);
const char *thaw_dataset_slice_name(const thaw_dataset *ds, int64_t slice);
const char *thaw_dataset_slice_description(const thaw_dataset *ds,
                                           int64_t slice); /* "" when there is none */
int64_t thaw_dataset_slice_find(const thaw_dataset *ds, const char *name);
THAW_NODISCARD thaw_status thaw_dataset_slice_need(const thaw_dataset *ds, const char *name,
                                                   int64_t *slice);
/* From now on only these stored slices, and those of the classes, are there; indices change. No names: all stay.
 * THAW_ERR_INPUT: a name that does not exist. thaw_dataset_inspect goes on to list all. */
THAW_NODISCARD thaw_status thaw_dataset_keep_slices(thaw_dataset *ds, const thaw_strings *names);
/* N bytes, 1 for members; never NULL; all zero when the slice has no member in this split. */
const uint8_t *thaw_dataset_slice_mask(const thaw_dataset *ds, int64_t split, int64_t slice);
int64_t thaw_dataset_slice_members(const thaw_dataset *ds, int64_t split, int64_t slice);

/* Normalisation, not of texts, whose ids are read as they are: a value v (uint8: v / 255) of channel c becomes (v - mean[c]) / std[c]. Set from the file; without
 * mean and std there it is 0 and 1. C values each. */
const double *thaw_dataset_mean(const thaw_dataset *ds);
const double *thaw_dataset_std(const thaw_dataset *ds);
/* Replaces it, for a backbone that was trained with another one. C values each, std > 0 (THAW_ERR_INPUT). */
THAW_NODISCARD thaw_status thaw_dataset_set_normalisation(thaw_dataset *ds, int64_t C,
                                                          const double *mean, const double *std);
/* How stored values and normalised ones hang together: normalised = stored * step + zero. C values each. */
typedef struct thaw_levels {
    const double *zero; /* what a stored 0 becomes: the "black" that augmentation pads with */
    const double *step;
} thaw_levels;
thaw_levels thaw_dataset_levels(const thaw_dataset *ds);

/* Writes samples indices[0..n) of a split to out (n, C, H, W), normalised, without augmentation. Any order, repeats
 * allowed; an index outside the split is our mistake (assert). Allocates nothing when the split is in memory.
 * THAW_ERR_INPUT: the file cannot be read, or a value read by rows is NaN or infinite. */
THAW_NODISCARD thaw_status thaw_dataset_read(const thaw_dataset *ds, int64_t split, int64_t n,
                                             const int64_t *indices, float *out);

/* Reading ahead, of splits that are read by rows: a thread reads what it is asked for while the caller computes, and thaw_dataset_read
 * finds it there; what it gives does not change. The thread uses HDF5 only between thaw_dataset_ask and the next
 * thaw_dataset_pause. In between the caller must not, except through thaw_dataset_read of this dataset.
 * rows: samples that wait in memory, at most, as they are stored; a call for more makes room. Does nothing where all splits are in memory.
 * THAW_ERR_RESOURCE: no memory, or no thread. */
THAW_NODISCARD thaw_status thaw_dataset_start_ahead(thaw_dataset *ds, int64_t rows);
/* These samples will be read soon, in this order. A wish: those for which there is no room, or which cannot be read, are read when they are
 * needed, which reports what is wrong. Does nothing where nothing is read ahead. */
void thaw_dataset_ask(const thaw_dataset *ds, int64_t split, int64_t n, const int64_t *indices);
/* Whether asking for samples of this split does anything. */
bool thaw_dataset_reads_ahead(const thaw_dataset *ds, int64_t split);
void thaw_dataset_pause(const thaw_dataset *ds);

/* Reads everything and compares with the digest recorded at import: THAW_ERR_INPUT when it differs, and when x that is
 * read by rows has a NaN. *recorded (may be NULL) says whether the file had a digest. */
THAW_NODISCARD thaw_status thaw_dataset_verify(const thaw_dataset *ds, bool *recorded);

/* ---- Leaks ---- */

/* What two splits share, a before b in the file. */
typedef struct thaw_leak {
    int64_t a, b;
    int64_t samples_a, samples_b; /* of a that are in b, and of b that are in a, value for value */
    int64_t row_a, row_b;         /* two that are equal */
    int64_t conflicts;            /* of samples_b that have another label or target in a */
    int64_t clusters;             /* with samples in both */
    int32_t cluster;              /* the first of them */
    int64_t cluster_samples_a, cluster_samples_b;
} thaw_leak;
typedef struct thaw_leaks {
    bool looked;   /* false: x is larger than was allowed; then only clusters were compared */
    int64_t bytes; /* of x of these splits */
    thaw_leak *pairs;
    int64_t count;
    int64_t *
        repeats; /* (splits of the file) samples that another one of their split is equal to, but for one of each */
} thaw_leaks;

/* Samples that are in two of these splits (NULL-ended names; NULL: all), by the digests of their values as stored, and clusters with samples in
 * both. Reads all of x, unless that is more than most_bytes (negative: no limit). thaw_leaks_clear afterwards.
 * THAW_ERR_INPUT: a split cannot be read. */
THAW_NODISCARD thaw_status thaw_dataset_find_leaks(const thaw_dataset *ds, const char *const *names,
                                                   int64_t most_bytes, thaw_leaks *out);
void thaw_leaks_clear(thaw_leaks *leaks);
/* Appends what a pair shares, in words, without a full stop. */
void thaw_leak_describe(const thaw_dataset *ds, const thaw_leak *leak, thaw_str *out);

/* What `thaw data info` prints. Names and arrays belong to the dataset and to this struct; clear frees the latter. */
typedef struct thaw_split_info {
    const char *name;
    int64_t count;
    int64_t bytes; /* of x as stored, uncompressed */
    bool in_memory;
    int64_t cluster_count; /* distinct clusters; 0: none named */
    int64_t *
        class_counts; /* K: samples of each class, with each label; zeros for an unlabelled split or a regression */
    double *target_mean, *target_std; /* K of a regression with targets; else NULL */
    int64_t *slice_counts;            /* slice_count of the info */
} thaw_split_info;
typedef struct thaw_dataset_info {
    thaw_shape shape; /* (C, H, W) */
    thaw_dtype dtype;
    thaw_task task;
    int64_t classes; /* K */
    const char *const *class_names;
    int64_t slice_count;
    int64_t split_count;
    thaw_split_info *splits;
    const double *mean, *std;                  /* C */
    const thaw_text_info *text;                /* NULL: no texts */
    const char *origin, *licence, *created_by; /* "" when not given */
    bool digest_recorded;
    char digest[THAW_DIGEST_HEX];
} thaw_dataset_info;
THAW_NODISCARD thaw_status thaw_dataset_inspect(const thaw_dataset *ds, thaw_dataset_info *info);
void thaw_dataset_info_clear(thaw_dataset_info *info);

/* ---- Vocabulary ------------------------------------------------------------------------------------------- */

/* By which data and backbones know each other's vocabulary. */
typedef struct thaw_vocabulary {
    const char
        *tokenizer; /* "wordpiece", "wordpiece cased", "bpe", or "bpe, first space": static */
    int64_t pieces;
    int64_t pad_id;     /* what texts are padded with */
    thaw_digest digest; /* of the pieces, one a line; of BPE an empty line and the merges follow */
} thaw_vocabulary;

/* Reads a vocab.txt of BERT's WordPiece (any name that does not end in .json); a vocab.json of RoBERTa's byte-level BPE with the merges.txt
 * beside it and, if there is one, add_prefix_space of the tokenizer_config.json; or a tokenizer.json of either. `cased`: of WordPiece, letters
 * keep case and accents; a tokenizer.json says so itself. THAW_ERR_INPUT with the line or key: what is damaged or missing; [PAD] of WordPiece
 * not the first; what a tokenizer.json asks for and is not built; cased against what it says. */
THAW_NODISCARD thaw_status thaw_vocabulary_read(const char *path, bool cased, thaw_vocabulary *out);

/* ---- Sampler ---------------------------------------------------------------------------------------------- */

/* Which samples a step sees. A plain value; every function is pure, so any rank finds its samples without a shared
 * array and a run resumes from (epoch, step) alone. The order of an epoch is thaw_permute(seed, epoch, count, i). Every
 * sample is seen once an epoch; the last batch may be smaller.
 * A global batch of n samples is cut into `shards` ranges: shard s has positions [n*s/shards, n*(s+1)/shards), so sizes
 * differ by at most one, and some are empty when n < shards. */
typedef struct thaw_sampler {
    int64_t count;  /* N > 0 */
    int64_t batch;  /* global, > 0 */
    int64_t shards; /* > 0 */
    uint64_t seed;
    bool in_order; /* no permutation: evaluation */
} thaw_sampler;

int64_t thaw_sampler_steps(const thaw_sampler *s); /* per epoch */
int64_t thaw_sampler_batch_size(const thaw_sampler *s,
                                int64_t step); /* samples of that global batch */
/* Size of the largest shard of any step: what a plan is sized for. */
int64_t thaw_sampler_shard_most(const thaw_sampler *s);
/* Positions [*begin, *end) of shard `shard` within the global batch of `step`. */
void thaw_sampler_shard(const thaw_sampler *s, int64_t step, int64_t shard, int64_t *begin,
                        int64_t *end);
/* Sample indices of positions [begin, end) of the global batch of (epoch, step) to indices (end - begin). */
void thaw_sampler_fill(const thaw_sampler *s, uint32_t epoch, int64_t step, int64_t begin,
                       int64_t end, int64_t *indices);

/* ---- Augmentation ----------------------------------------------------------------------------------------- */

/* Applied to normalised floats in this order: resized crop, crop, flip, RandAugment, brightness, contrast, erase; then a mix of two samples. */
typedef struct thaw_augment {
    double
        crop_area_least; /* share of the picture that a crop keeps at least, before it is made as large as the picture; 0: none */
    double
        crop_aspect_most; /* of that crop: width / height between 1 / this and this; below 1: 4/3 */
    int64_t crop_padding; /* pixels on each side before a crop of the original size; 0: no crop */
    int crop_fill;        /* thaw_crop_fill */
    bool flip;            /* left to right, with probability 1/2 */
    int64_t rand_ops;     /* operations of RandAugment; 0: none */
    int64_t rand_magnitude;   /* its bin, 0 to 30 */
    double brightness;        /* factor on raw values, uniform in [1 - b, 1 + b]; 0: none */
    double contrast;          /* factor on the distance from the sample's channel mean; 0: none */
    double erase_probability; /* of one rectangle filled with 0, the mean colour */
    double erase_area_least;  /* share of the picture */
    double erase_area_most;
    double
        mixup; /* a of Beta(a, a), which the share of a sample in its mix with another is drawn from; 0: none */
    double
        cutmix; /* the same for the area that a sample keeps of itself; with both, half of the samples get either */
} thaw_augment;
typedef enum thaw_crop_fill { THAW_CROP_BLACK, THAW_CROP_REFLECT } thaw_crop_fill;

extern const thaw_field thaw_augment_fields[];

/* True when it would change nothing: such an input pipeline is deterministic and its features can be cached. */
bool thaw_augment_none(const thaw_augment *augment);
/* THAW_ERR_CONFIG: padding that does not fit the picture (reflect), a flat sample, an area range upside down; RandAugment of pictures that
 * are neither grey nor of three colours, or too large. Whether they are of bytes, which it works on, the caller sees at thaw_dataset_dtype. */
THAW_NODISCARD thaw_status thaw_augment_check(const thaw_augment *augment,
                                              const thaw_shape *sample);
/* Changes n samples x (n, C, H, W) in place. Sample i draws from thaw_rng_make(seed, THAW_RNG_AUGMENT, epoch,
 * indices[i]), always the same number of draws, so switching one operation off leaves the others as they were.
 *   levels   of the dataset; step matters to RandAugment alone      scratch  H*W floats */
void thaw_augment_batch(const thaw_augment *augment, uint64_t seed, uint32_t epoch, int64_t n,
                        const int64_t *indices, const thaw_shape *sample, const thaw_levels *levels,
                        float *x, float *scratch);

/* A sample that is mixed with another one: x = share * x + (1 - share) * other, or a rectangle of x is the other's. Targets follow:
 * share of its own, 1 - share of the partner's. */
typedef struct thaw_blend {
    int64_t partner; /* among the N of the split; may be the sample itself */
    double share;    /* of the sample itself */
    bool rectangle;
    int64_t top, left, height, width;
} thaw_blend;

bool thaw_augment_mixes(const thaw_augment *augment);
/* How sample `index` of N is mixed in this epoch: a function of (seed, epoch, index). Sources: mixup, Zhang et al. 2018,
 * arXiv:1710.09412; cutmix, Yun et al. 2019, arXiv:1905.04899. */
thaw_blend thaw_augment_blend(const thaw_augment *augment, uint64_t seed, uint32_t epoch, int64_t N,
                              int64_t index, const thaw_shape *sample);
/* x, other (C, H, W): both augmented already; x becomes the blend. */
void thaw_augment_apply_blend(const thaw_blend *blend, const thaw_shape *sample, const float *other,
                              float *x);

/* ---- Import ----------------------------------------------------------------------------------------------- */

/* What to import. Start with thaw_import_init, set members (thaw_import_set takes the words of a command line), run,
 * clear. All lists may be empty but images and splits.
 *
 * images, labels, clusters: one item a source file, in the same order; "FILE" or, for hdf5, "FILE:DATASET" (default
 *   datasets x, y, cluster; labels default to the images' file). Source n is the n-th item, from 1. Ids count through
 *   all sources.
 * select: source classes to keep; their order gives the new labels 0, 1, 2, ... An item is a source label (5), a source
 *   label with its new name (5=Sandal), or a name from `names`. Empty: all classes, labels unchanged.
 * names: one a kept class, in the order of select; or one a source label 0, 1, 2, ..., and then select may use them.
 * splits: "NAME=AMOUNT[@SOURCE]", drawn one after another without replacement, so they are disjoint. AMOUNT is N (N of
 *   every class; of other tasks N in all), N% (of what every class has in these sources), Ntotal (N in all, whatever the class), or rest (all that
 *   no split with a number took). SOURCE limits the split to one source file. A class with too few samples is an error.
 * slices: "NAME=CLASS[+CLASS...]", "NAME=source:N", or "NAME=mask:FILE" (npy or hdf5, one value a source row, not 0 = member).
 * layout: how a picture lies in the source, chw or hwc; ours is always chw. Three dimensions are (N, H, W).
 * mean, std: C values each; empty: measured on the split train (on the first split without one).
 *
 * Format images: an item of images is a folder with a folder per class (DIR/CLASS/..., or DIR/SPLIT/CLASS/... when DIR/train has
 * folders inside), or a CSV file with the columns path and label and, if wanted, split, slices and cluster. Labels and clusters are not
 * given then; without splits those of the source are taken, with splits each item must say which of them it draws from (NAME=AMOUNT@SPLIT).
 * Select takes names of classes. An id is the place of the picture, counted through all items of images, broken ones included.
 * size, shorter, fit, filter: the shorter side becomes `shorter` and the middle size x size is cut out (crop), or all of it is squashed
 *   to size x size; as torchvision's Resize and CenterCrop. colours: rgb, or grey for networks with one channel.
 *
 * Formats csv and tsv: an item of images is a table whose first row names its columns, with one text a row, or two. text and label name
 * columns ("text" and "label" when they do not), text_pair a second text; split, slice (names with ; between) and cluster name columns
 * that are otherwise found by the names split, slices and cluster. Labels, splits and select are as with format images. Texts become tokens
 * with the vocabulary of the network, at most `tokens` of them. quotes: fields may stand in double quotes, or (none) quotes are part of
 * the texts.
 *
 * Tables of either: label, split, slice and cluster name columns that have other names than the usual ones. Of several labels, one column of
 * label has the names of those that hold, with `separator` between them, and labels are in the order of their names' bytes; several columns
 * have 0 or 1 each, and are the labels. Of numbers each column is a target. `names` renames them.
 *
 * Of several such sources (images, csv, tsv) all or none name splits and clusters. An option that the format has no use for is
 * THAW_ERR_USAGE that names it, also when thaw_import_set gave it its usual value.
 *
 * max_broken: the share of the files read that may be unreadable and are then left out; more is THAW_ERR_INPUT that lists some. Only what
 *   splits take is read; a file that is left out is replaced by the next of the draw. */
typedef enum thaw_layout { THAW_CHW, THAW_HWC } thaw_layout;
typedef enum thaw_quotes { THAW_QUOTES_CSV, THAW_QUOTES_NONE } thaw_quotes;
typedef enum thaw_fit { THAW_FIT_CROP, THAW_FIT_SQUASH } thaw_fit;
typedef enum thaw_filter { THAW_BILINEAR, THAW_BICUBIC } thaw_filter;
typedef enum thaw_colours { THAW_RGB, THAW_GREY } thaw_colours;
typedef struct thaw_import {
    int task; /* thaw_task */
    int format; /* index into thaw_import_formats(); 0 is auto: by the first bytes of the first file */
    thaw_strings images;
    thaw_strings labels;
    thaw_strings clusters;
    thaw_strings select;
    thaw_strings names;
    thaw_strings splits;
    thaw_strings slices;
    int layout; /* thaw_layout */
    thaw_doubles mean;
    thaw_doubles std;
    char *origin;  /* free text for the file */
    char *licence; /* free text for the file */
    int64_t seed;
    char *output;
    int64_t size;       /* side of a picture; 0: all have the same already */
    int64_t shorter;    /* 0: size */
    int fit;            /* thaw_fit */
    int filter;         /* thaw_filter */
    int colours;        /* thaw_colours */
    double max_broken;  /* share of the files */
    char *vocab;        /* formats csv and tsv: vocab.txt */
    int cased;          /* 1: letters keep case and accents */
    int64_t tokens;     /* T */
    int quotes;         /* thaw_quotes, of csv and tsv */
    thaw_strings label; /* columns of labels */
    char *separator;    /* between labels of one column; NULL: ";" */
    char *text, *text_pair, *split, *slice, *cluster; /* columns */
    uint64_t given; /* bit i: thaw_import_set has set thaw_import_fields[i]; of thaw_import_set */
} thaw_import;

extern const thaw_field thaw_import_fields[];
/* "auto" and the importers, NULL-ended; and a sentence for each. */
const char *const *thaw_import_formats(void);
const char *thaw_import_format_doc(int format);

void thaw_import_init(thaw_import *import);
/* Sets the member named `field` from text: a list is cut at commas and added to what is there. THAW_ERR_USAGE names the
 * field, with a suggestion, or the value and what is allowed. */
THAW_NODISCARD thaw_status thaw_import_set(thaw_import *import, const char *field,
                                           const char *text);
void thaw_import_clear(thaw_import *import);
/* What can be told before any sample is read: what is missing, what does not belong together, what the format of the first source has no
 * use for, a split or slice that is written wrongly. thaw_import_run begins with it, and looks at all else that needs no sample before it
 * reads any. THAW_ERR_USAGE; THAW_ERR_INPUT: the first source cannot be opened or is of no known format. */
THAW_NODISCARD thaw_status thaw_import_check(const thaw_import *import);
/* Writes import->output, atomically. The result is a function of the sources and the options, not of the machine.
 * THAW_ERR_USAGE: options; THAW_ERR_INPUT: a source file, with file and offset or row; THAW_ERR_RESOURCE: output. */
THAW_NODISCARD thaw_status thaw_import_run(const thaw_import *import);

#ifdef __cplusplus
}
#endif
#endif
