/* thaw/conf.h - settings: one YAML document becomes a tree with positions, and field tables turn the tree into structs.
 *
 * Life cycle: thaw_conf_load (or _parse_text) -> thaw_conf_fill once or more -> cross-field checks, which report through
 * thaw_conf_error_at -> thaw_conf_free. The structs live longer than the document and are ended by thaw_fields_clear.
 *
 * A document is one mapping of at most 4 MiB, 32 levels and 100,000 values (aliases count each time they are used).
 * Anchors and aliases work; duplicate keys, tags, merge keys and further documents are errors.
 * A path names a value: "train.batch"; an item of a list is a number: "phases.0.epoch"; "" is the whole document.
 *
 * Every error of a document is THAW_ERR_CONFIG and starts with file:line:column (or "--set" for an override):
 *     job.yaml:7:3: train.bacth: unknown key; did you mean 'batch'?
 * All functions are local. To be sure that ranks agree, read the file on one rank and parse the same text on all. */
#ifndef THAW_CONF_H
#define THAW_CONF_H

#include "thaw/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thaw_conf thaw_conf;

/* Reads a file. `overrides` (may be NULL) are "path.to.key=value" with the value in YAML ("0.1", "[1, 2]", "{a: 1}"; nothing
 * is the empty text); they replace or add values, the last one wins. THAW_ERR_USAGE when an override has no '='. */
THAW_NODISCARD thaw_status thaw_conf_load(const char *path, const thaw_strings *overrides,
                                          thaw_conf **out);
/* The same from memory; `name` stands for the file in messages. */
THAW_NODISCARD thaw_status thaw_conf_parse_text(const char *name, const char *text, size_t bytes,
                                                const thaw_strings *overrides, thaw_conf **out);
void thaw_conf_free(thaw_conf **conf);

bool thaw_conf_has(const thaw_conf *conf, const char *path);
/* Items of a list or keys of a mapping at path; -1 when it is absent or a scalar. */
int64_t thaw_conf_count(const thaw_conf *conf, const char *path);

/* Fills *out_struct, member by member, from the mapping at `path` and the presets of `table`.
 * Old values of the members are overwritten, not freed. On an error they are cleared.
 * A key of the mapping that has no row is an error, unless thaw_conf_fill or thaw_conf_claim took it before.
 * A row of type TABLE reads a sub-mapping; an absent one is read as empty, so that its presets apply and its required keys are
 * missed. A TABLE row with preset "" is optional: when it is absent, every member in it is zero.
 * A row without preset is required. Numbers are decimal and finite; text may be plain or quoted; a bool is true or false. */
THAW_NODISCARD thaw_status thaw_conf_fill(const thaw_conf *conf, const thaw_field *table,
                                          const char *path, void *out_struct);
/* Says that the value at path (if there is one) is read by somebody else. */
void thaw_conf_claim(const thaw_conf *conf, const char *path);
/* An error when a key was neither filled nor claimed; for documents whose root is not filled by one table. */
THAW_NODISCARD thaw_status thaw_conf_check_unused(const thaw_conf *conf);

/* Records THAW_ERR_CONFIG at the position of path, or of the nearest mapping around it, and returns it:
 *     thaw_conf_error_at(conf, "train.batch", "%d is not divisible by shards %d", 60, 24) */
thaw_status thaw_conf_error_at(const thaw_conf *conf, const char *path, const char *format, ...)
    THAW_PRINTF(3, 4);
/* Appends "file:line:column" of path, or of the nearest mapping around it. */
void thaw_conf_where(const thaw_conf *conf, const char *path, thaw_str *out);

/* ---- Structs described by field tables ---------------------------------------------------------------------- */

/* Presets only; required members are zero, optional tables too. THAW_ERR_FAIL names a row whose preset is wrong. */
THAW_NODISCARD thaw_status thaw_fields_default(const thaw_field *table, void *out_struct);
/* Frees owned text and lists; every member is zero afterwards. */
void thaw_fields_clear(const thaw_field *table, void *inout_struct);
bool thaw_fields_equal(const thaw_field *table, const void *a, const void *b);
/* A deep copy; old values in *to are overwritten, not freed. On an error *to is cleared. */
THAW_NODISCARD thaw_status thaw_fields_copy(const thaw_field *table, void *to, const void *from);

/* Appends the struct as YAML that fills to an equal struct. */
void thaw_conf_write(const thaw_field *table, const void *in_struct, thaw_str *out);
/* Appends help for people: each key with type, default, range or choices, and its sentence. */
void thaw_conf_help(const thaw_field *table, thaw_str *out);
/* Appends a Markdown table of all keys with their full paths. */
void thaw_conf_doc_markdown(const thaw_field *table, thaw_str *out);

#ifdef __cplusplus
}
#endif
#endif
