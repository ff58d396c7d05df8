/* thaw/base.h - what every module stands on: status and error record, log, memory, random numbers,
 * digests, clock, strings, files, field tables, kinds and fault sites.
 *
 * Nothing here communicates, nothing here does arithmetic on data. Mutable globals of the whole library live
 * only in this module: the last error, the log sink, the abort hook, the allocation count. */
#ifndef THAW_BASE_H
#define THAW_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define THAW_NODISCARD         __attribute__((warn_unused_result))
#define THAW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define THAW_NODISCARD
#define THAW_PRINTF(fmt, args)
#endif

/* ---- Status --------------------------------------------------------------------------------------------- */

/* What went wrong, as a class; the words are in the error record. Exit codes are a public contract. */
typedef enum thaw_status {
    THAW_OK = 0,
    THAW_ERR_FAIL,     /* exit 1: anything else (an MPI or system call failed, a peer died) */
    THAW_ERR_USAGE,    /* exit 2: bad command line */
    THAW_ERR_CONFIG,   /* exit 2: bad config; the message starts with file:line:column */
    THAW_ERR_INPUT,    /* exit 3: bad dataset, weights, backbone or checkpoint file */
    THAW_ERR_RESOURCE, /* exit 4: memory, disk space, permission to write */
    THAW_ERR_NUMERIC,  /* exit 5: NaN or infinity in loss or gradients */
    THAW_ERR_STOPPED   /* exit 75: stopped on request, state saved, requeue me */
} thaw_status;

/* The process exit code that belongs to a status (0, 1, 2, 3, 4, 5 or 75). */
int thaw_status_exit_code(thaw_status status);
const char *thaw_status_name(thaw_status status);

/* The last error of this thread, so that what a helper fails with does not cover it. A plain block of bytes, so that it can be broadcast. */
typedef struct thaw_error {
    int32_t code;       /* thaw_status */
    int32_t origin;     /* rank that reported it; 0 until ranks have agreed */
    int32_t line;       /* in our source */
    char file[60];      /* our source file, base name */
    char message[2000]; /* one sentence: the thing, the value, the limit, the way out */
} thaw_error;

thaw_error *thaw_error_last(void);
void thaw_error_clear(void);

/* Records an error and returns its code. Use through THAW_FAIL. */
thaw_status thaw_fail(thaw_status code, const char *file, int line, const char *format, ...)
    THAW_PRINTF(4, 5);
/* Puts words in front of the recorded message ("while reading x.h5: ..."); returns the code unchanged. */
thaw_status thaw_fail_context(thaw_status code, const char *format, ...) THAW_PRINTF(2, 3);

#define THAW_FAIL(code, ...) thaw_fail((code), __FILE__, __LINE__, __VA_ARGS__)

/* The only four macros with control flow. The _TO forms need a local `thaw_status status` and a label `done`. */
#define THAW_TRY(expr)                                                                             \
    do {                                                                                           \
        thaw_status try_status_ = (expr);                                                          \
        if (try_status_ != THAW_OK)                                                                \
            return try_status_;                                                                    \
    } while (0)
#define THAW_TRY_TO(expr)                                                                          \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != THAW_OK)                                                                     \
            goto done;                                                                             \
    } while (0)
#define THAW_CHECK(cond, code, ...)                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)THAW_FAIL(code, __VA_ARGS__);                                                    \
            return (code); /* not what thaw_fail returns: so the compiler sees that it is no OK */ \
        }                                                                                          \
    } while (0)
#define THAW_CHECK_TO(cond, code, ...)                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)THAW_FAIL(code, __VA_ARGS__);                                                    \
            status = (code);                                                                       \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* What only we can cause. Always on; prints and calls the abort hook (MPI_Abort once comm is up). */
#define THAW_ASSERT(cond) ((cond) ? (void)0 : thaw_assert_failed(#cond, __FILE__, __LINE__))
void thaw_assert_failed(const char *condition, const char *file, int line);
typedef void thaw_abort_hook(int exit_code);
void thaw_set_abort_hook(thaw_abort_hook *hook); /* NULL: none */
/* Calls the hook and does not return. Without one the process ends with the exit code; with abort() when that is 1, an internal error,
 * of which a core dump is wanted. */
void thaw_abort(int exit_code) __attribute__((noreturn));
/* While on, a process that ends by exit(), or by returning from main, says so and calls thaw_abort(1) instead: others would wait for it, or
 * take its exit code for success. Processes that it forks may end as they like. */
void thaw_guard_exit(bool on);

/* ---- Log ------------------------------------------------------------------------------------------------ */

typedef enum thaw_level { THAW_DEBUG, THAW_INFO, THAW_RESULT, THAW_WARN, THAW_ERROR } thaw_level;

/* Prints on rank 0 only, to stderr (RESULT to stdout). THAW_LOG_ALL prints on every rank, with its number.
 * A clean run prints no WARN and no ERROR. */
#define THAW_LOG(level, ...)     thaw_log((level), false, __VA_ARGS__)
#define THAW_LOG_ALL(level, ...) thaw_log((level), true, __VA_ARGS__)
void thaw_log(thaw_level level, bool every_rank, const char *format, ...) THAW_PRINTF(3, 4);
void thaw_log_set_rank(int rank, int size);
void thaw_log_set_level(thaw_level least); /* --quiet: THAW_RESULT; default THAW_INFO */
thaw_level thaw_log_get_level(void);

/* ---- Memory --------------------------------------------------------------------------------------------- */

/* Allocates `count` zeroed elements of `size` bytes, aligned to 64 bytes; *out is any pointer, given by address.
 * count 0 gives NULL. THAW_ERR_RESOURCE names the size. Freed by thaw_free(&pointer), which sets it to NULL. */
THAW_NODISCARD thaw_status thaw_alloc(void *out, int64_t count, size_t size);
/* Grows to `count` elements, keeping the first `old_count`; new ones are zero. */
THAW_NODISCARD thaw_status thaw_realloc(void *inout, int64_t old_count, int64_t count, size_t size);
void thaw_free(void *address_of_pointer);
THAW_NODISCARD thaw_status thaw_strdup(char **out, const char *text); /* NULL text gives NULL */
/* Allocations made so far through this module; a training step must not change it. */
int64_t thaw_alloc_count(void);
/* Allocations not freed yet; tests compare it before and after. */
int64_t thaw_alloc_live(void);
size_t thaw_peak_rss_bytes(void);
/* Resident now, shared pages divided among the processes that have them; 0 where the system does not say (needs Linux 4.14). */
size_t thaw_pss_bytes(void);

/* ---- Random numbers: counter-based, never keyed by rank --------------------------------------------------- */

/* What a stream is for; streams of different purpose are independent. Never renumber: seeds are a promise. */
typedef enum thaw_purpose {
    THAW_RNG_INIT = 1,
    THAW_RNG_ORDER = 2,
    THAW_RNG_AUGMENT = 3,
    THAW_RNG_DROPOUT = 4,
    THAW_RNG_SPLIT = 5,
    THAW_RNG_BOOTSTRAP = 6,
    THAW_RNG_SEARCH = 7,
    THAW_RNG_TEST = 8
} thaw_purpose;

/* A stream: (seed, purpose, major, minor) fix it, draws walk along it. Plain value, copy freely. For instance
 * augmentation of sample i in epoch e is thaw_rng_make(seed, THAW_RNG_AUGMENT, e, i).
 * Source: Salmon et al. 2011, Philox4x32-10 (Random123). */
typedef struct thaw_rng {
    uint32_t key[2];
    uint32_t counter[4]; /* {block, major, minor low, minor high} */
    uint32_t buffer[4];
    uint32_t used;
} thaw_rng;

thaw_rng thaw_rng_make(uint64_t seed, thaw_purpose purpose, uint32_t major, uint64_t minor);
uint32_t thaw_rng_u32(thaw_rng *rng);
uint64_t thaw_rng_u64(thaw_rng *rng);
double thaw_rng_uniform(thaw_rng *rng);             /* [0, 1), 53 bits */
double thaw_rng_normal(thaw_rng *rng);              /* Box-Muller, two draws a value, no memory */
uint64_t thaw_rng_below(thaw_rng *rng, uint64_t n); /* unbiased, n > 0 */
/* Stateless block: element block `block` of a stream; for dropout masks. out[4]. */
void thaw_rng_block(const thaw_rng *rng, uint32_t block, uint32_t out[4]);
/* Keyed permutation of 0..n-1 without an array: where position i of epoch's order points.
 * Feistel network with cycle walking (Black & Rogaway 2002). */
int64_t thaw_permute(uint64_t seed, uint32_t epoch, int64_t n, int64_t i);
/* Mixes words into one seed (splitmix64); for "seed of trial t". */
uint64_t thaw_mix(uint64_t a, uint64_t b);

/* ---- Digests: XXH3-128 ------------------------------------------------------------------------------------ */

typedef struct thaw_digest {
    uint64_t low, high;
} thaw_digest;
typedef struct thaw_hasher thaw_hasher;
#define THAW_DIGEST_HEX 33 /* 32 hex digits and the end */

thaw_digest thaw_hash(const void *data, size_t bytes);
THAW_NODISCARD thaw_status thaw_hasher_new(thaw_hasher **out);
void thaw_hasher_add(thaw_hasher *hasher, const void *data, size_t bytes);
thaw_digest thaw_hasher_get(const thaw_hasher *hasher);
void thaw_hasher_free(thaw_hasher **hasher);
void thaw_digest_hex(thaw_digest digest, char hex[THAW_DIGEST_HEX]);
bool thaw_digest_parse(const char *hex, thaw_digest *out);
bool thaw_digest_equal(thaw_digest a, thaw_digest b);

/* ---- Clock ------------------------------------------------------------------------------------------------ */

double thaw_seconds(void); /* monotonic; for reports, never for decisions that ranks share */
void thaw_timestamp(char *out, size_t bytes); /* UTC, ISO 8601 */

/* ---- Strings ---------------------------------------------------------------------------------------------- */

/* A growing string, always ended by 0. `thaw_str s = {0};` is ready to use; data may be NULL while length is 0
 * (thaw_str_c gives "" then). Appending cannot fail visibly: out of memory calls thaw_abort(4). */
typedef struct thaw_str {
    char *data;
    size_t length, capacity;
} thaw_str;

void thaw_str_add(thaw_str *s, const char *text);
void thaw_str_add_bytes(thaw_str *s, const void *bytes, size_t count);
void thaw_str_printf(thaw_str *s, const char *format, ...) THAW_PRINTF(2, 3); /* appends */
void thaw_str_vprintf(thaw_str *s, const char *format, va_list args);
void thaw_str_reset(thaw_str *s); /* length 0, memory kept */
void thaw_str_clear(thaw_str *s); /* frees */
const char *thaw_str_c(const thaw_str *s);
/* snprintf that never overruns and reports truncation as false. */
bool thaw_format(char *out, size_t bytes, const char *format, ...) THAW_PRINTF(3, 4);
bool thaw_copy(char *out, size_t bytes, const char *text);
bool thaw_starts_with(const char *text, const char *prefix);
bool thaw_ends_with(const char *text, const char *suffix);
/* Shell-like pattern: * any run, ? one character; the whole text must match. */
bool thaw_match(const char *pattern, const char *text);
/* Decimal, the whole text, finite; anything else is false. */
bool thaw_parse_int(const char *text, int64_t *out);
bool thaw_parse_double(const char *text, double *out);
/* The candidate nearest to `text` by edit distance, or NULL when none is near enough to suggest. */
const char *thaw_did_you_mean(const char *text, const char *const *candidates, size_t count);
/* "1.2 GiB", "340 B": for people. */
void thaw_format_bytes(double bytes, char *out, size_t size);

/* ---- Files ------------------------------------------------------------------------------------------------ */

void thaw_path_join(thaw_str *out, const char *directory, const char *name); /* replaces *out */
bool thaw_path_exists(const char *path);
bool thaw_path_is_dir(const char *path);
/* With parents; existing is fine. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_mkdirs(const char *path);
/* Whether a file of this path could be written, asked before work is done for it: its directory is there, or `makes` says that
 * missing directories will be made, and we may write into it. Makes nothing itself. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_output_check(const char *path, bool makes);
THAW_NODISCARD thaw_status thaw_file_read(const char *path, thaw_str *out); /* THAW_ERR_INPUT */
/* The same of a file that others gave: a pipe, a device or a directory is refused before it could block or never end, and so is
 * a file of more than `most` bytes. */
THAW_NODISCARD thaw_status thaw_file_read_within(const char *path, int64_t most, thaw_str *out);
/* Writes path.tmp, fsyncs, renames, fsyncs the directory: the old file or the new one, never half. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_file_write(const char *path, const void *data, size_t bytes);
/* One write(2), O_APPEND. */
THAW_NODISCARD thaw_status thaw_file_append(const char *path, const void *data, size_t bytes);
/* A hint: the system begins to write path to its disk, so that a later commit waits less. Reports nothing: the commit does. */
void thaw_file_start_sync(const char *path);
/* fsync(path), rename(path, to), fsync(directory of to). */
THAW_NODISCARD thaw_status thaw_file_commit(const char *path, const char *to);
/* XXH3-128 of the content; `bytes` may be NULL. */
THAW_NODISCARD thaw_status thaw_file_digest(const char *path, thaw_digest *out, int64_t *bytes);
/* Removes a tree below a directory we made; refuses "/" and "". */
THAW_NODISCARD thaw_status thaw_remove_tree(const char *path);

/* ---- Tasks ------------------------------------------------------------------------------------------------ */

/* What is to be predicted of a sample: one class of K; which of K labels hold; K numbers. */
typedef enum thaw_task {
    THAW_TASK_CLASSIFICATION,
    THAW_TASK_MULTI_LABEL,
    THAW_TASK_REGRESSION,
    THAW_TASK_COUNT
} thaw_task;

/* "classification", "multi_label", "regression"; the list ends with NULL. parse is false for another word. */
const char *thaw_task_name(thaw_task task);
const char *const *thaw_task_names(void);
bool thaw_task_parse(const char *name, thaw_task *out);
/* What its columns are called: "classes", "labels", "targets". */
const char *thaw_task_columns(thaw_task task);

/* ---- Field tables: one row a setting; parsing, defaults, ranges, help and the resolved config come from it --- */

typedef enum thaw_field_type {
    THAW_FIELD_BOOL,    /* bool */
    THAW_FIELD_INT,     /* int64_t */
    THAW_FIELD_DOUBLE,  /* double */
    THAW_FIELD_STRING,  /* char *, owned */
    THAW_FIELD_ENUM,    /* int; `choices` lists the words, the value is the index */
    THAW_FIELD_STRINGS, /* thaw_strings, owned */
    THAW_FIELD_DOUBLES, /* thaw_doubles, owned */
    THAW_FIELD_INTS,    /* thaw_ints, owned */
    THAW_FIELD_TABLE,   /* nested struct, `table` describes it */
    THAW_FIELD_TABLES   /* thaw_tables, owned: a list of structs that `table` describes */
} thaw_field_type;

typedef struct thaw_strings {
    char **items;
    int64_t count;
} thaw_strings;
typedef struct thaw_doubles {
    double *items;
    int64_t count;
} thaw_doubles;
typedef struct thaw_ints {
    int64_t *items;
    int64_t count;
} thaw_ints;

typedef struct thaw_tables {
    void *items; /* structs, one behind the other */
    int64_t count;
} thaw_tables;

typedef struct thaw_field {
    /* Key in YAML. A row with NULL ends the table; in a table of TABLES its offset is the size of one struct. */
    const char *name;
    thaw_field_type type;
    size_t offset; /* of the member: THAW_FIELD(T, member, ctype) */
    /* Default: as YAML text for lists ("[16, 32]"), else the value itself ("0.1"); "" is the empty string or list,
     * and makes a TABLE optional; NULL = required. TABLES: "", an absent list is empty. */
    const char *preset;
    double least, most; /* closed range for numbers (for lists: each item); equal = no range */
    const char *const *choices;     /* ENUM: words, ended by NULL */
    const struct thaw_field *table; /* TABLE, TABLES */
    const char *doc;                /* one sentence with the unit */
} thaw_field;

/* offsetof with the member's C type checked at compile time. */
#define THAW_FIELD(T, member, ctype)                                                               \
    (offsetof(T, member) + 0 * sizeof(struct {                                                     \
                               _Static_assert(_Generic(((T *)0)->member, ctype : 1, default : 0),  \
                                              #T "." #member " is not " #ctype);                   \
                               char x;                                                             \
                           }))

/* ---- Fault sites: THAW_FAULT=site:rank:nth makes the nth pass of that rank through the site fail ------------- */

/* True when the fault set for this site, this rank (thaw_log_set_rank) and this pass is due. */
bool thaw_fault(const char *site);
/* What a site may do: leaves as a program does that does not know of other ranks, with exit code 0. */
void thaw_fault_leave(void) __attribute__((noreturn));
/* Every site in the tree, for the test that walks them (NULL-ended). Sites are listed in src/base/faults.def. */
const char *const *thaw_fault_sites(void);

/* ---- Beat: where this process is, for a watchdog ------------------------------------------------------------- */

/* One thread of a process is watched; what other threads call here does nothing, but see thaw_beat_lend. All strings must outlive the process's work: literals
 * and names of kinds. Nothing here allocates, locks or fails. */
typedef struct thaw_where {
    int64_t count;       /* signs of progress so far */
    int64_t epoch, step; /* -1: not in an epoch */
    const char *phase;   /* "training" */
    const char *what;    /* what was begun last in it: an operator, a file; "" */
    const char *wait;    /* the call in which it waits for other ranks; NULL: it works */
    bool patient;        /* waiting is no sign of trouble */
} thaw_where;

/* The calling thread is watched from here on; false when another one, or this one, is already. */
bool thaw_beat_begin(void);
void thaw_beat_end(void); /* by the thread that began */
/* Progress: to be called at least once in what takes minutes. */
void thaw_beat(const char *what);
/* Another phase; returns the one before, to be set again at its end. */
const char *thaw_beat_phase(const char *phase);
void thaw_beat_position(int64_t epoch, int64_t step);
/* Around a wait for other ranks; waits may be nested, and what is called in a loop of an outer wait is no progress:
 * const char *before = thaw_beat_wait("MPI_Barrier"); ...; thaw_beat_go(before); */
const char *thaw_beat_wait(const char *on);
void thaw_beat_go(const char *before);
/* Others may take as long as they like: a group of a ladder has hours of work left when another one is through. */
void thaw_beat_patience(bool patient);
/* Around a wait of the watched thread for one that called thaw_beat_help: what that one does meanwhile is progress. */
void thaw_beat_lend(bool lent);
void thaw_beat_help(void);
/* By any thread. */
void thaw_beat_look(thaw_where *out);

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* Threads of this rank in the loops of kern: OMP_NUM_THREADS, one when it is not set, and never more than the cores that the
 * process may use (its affinity mask), so that bound ranks do not get in each other's way. Settled at the first call. */
int32_t thaw_threads(void);
/* Sets another number, for tests; 0: settle again. Not while kern works. */
void thaw_threads_set(int32_t count);
/* Cores in the affinity mask of the process. */
int32_t thaw_cores(void);
/* Threads that are worth starting to touch so many elements of arrays; one inside a parallel loop. */
int32_t thaw_threads_for(int64_t elements);
/* Calls body(context, thread, i) for each i below n, in `threads` threads; a thread gets neighbours. What different i write
 * must lie apart, so that the result does not depend on the threads; `thread` chooses scratch memory. */
typedef void thaw_parallel_body(void *context, int32_t thread, int64_t i);
void thaw_parallel(int32_t threads, int64_t n, thaw_parallel_body *body, void *context);

/* ---- Version ---------------------------------------------------------------------------------------------- */

const char *thaw_version(void); /* "0.1.0" */
const char *thaw_commit(void);  /* short hash of the build, "unknown" outside git */

#ifdef __cplusplus
}
#endif
#endif
