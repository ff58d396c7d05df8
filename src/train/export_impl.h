/* export_impl.h - what the formats of `thaw export` share. */
#ifndef THAW_TRAIN_EXPORT_IMPL_H
#define THAW_TRAIN_EXPORT_IMPL_H

#include "train/train_impl.h"

/* What the origin calls the module that the head is, or is the last layer of. */
const char *thaw_export_head(const thaw_model *model);
/* Whether a parameter of the backbone belongs to that module there: PEFT saves the module whole. */
bool thaw_export_beside_head(const thaw_model *model, const thaw_param *p);
/* Whether a head that reads the first token itself can be written as the two layers that its class of transformers has there. */
bool thaw_export_head_as_theirs(const thaw_model *model);
/* Those, under their names. */
THAW_NODISCARD thaw_status thaw_export_add_head(const thaw_model *model, thaw_state *out);
/* Replaces *out by the origin's name of a parameter. */
void thaw_export_name(const thaw_model *model, const thaw_param *p, thaw_str *out);
/* The same as its origin has it in memory, where that differs (vision transformers of transformers 5). */
void thaw_export_name_in_memory(const thaw_model *model, const thaw_param *p, thaw_str *out);
bool thaw_export_differs_in_memory(const thaw_model *model);
/* thaw_safetensors_write or thaw_hdf5_write. */
typedef thaw_status thaw_tensors_write(const char *path, const thaw_state *tensors,
                                       const thaw_strings *words);
/* With architecture, classes and normalisation as words. */
THAW_NODISCARD thaw_status thaw_export_write(const thaw_setup *s, const thaw_state *tensors,
                                             thaw_tensors_write *write, const char *path);
/* How PEFT says what a method of ours does. */
typedef struct thaw_peft_form thaw_peft_form;
const thaw_peft_form *thaw_peft_form_of(const char *method); /* NULL: PEFT has none */
/* What PEFT calls a parameter of an adapter or a head in the file; in_memory: of a network with the names of thaw_export_name_in_memory.
 * Replaces what `out` holds. */
void thaw_peft_key(const thaw_peft_form *form, const thaw_model *model, const thaw_param *p,
                   bool in_memory, thaw_str *out);
/* THAW_ERR_USAGE when PEFT has the method, but not for networks as this one is at its origin. */
THAW_NODISCARD thaw_status thaw_peft_form_fits(const thaw_peft_form *form, const thaw_model *model);
/* Key of the one tensor that the adapter's parameters are columns of; NULL: each has a key of its own. */
const char *thaw_peft_form_table(const thaw_peft_form *form);
/* That tensor: the adapter's parameters, (P, C) each, side by side in the order in which they were added: (P, sum of C). */
thaw_shape thaw_columns_shape(const thaw_model *model);
void thaw_columns_gather(const thaw_model *model, float *table);
void thaw_columns_scatter(float *table, const thaw_model *model); /* leaves the table as it is */
/* THAW_ERR_CONFIG when an adapter_config.json says another method or other settings than the run's; `path` is the file's. */
THAW_NODISCARD thaw_status thaw_peft_form_compare(const thaw_peft_form *form, const thaw_setup *s,
                                                  const thaw_json *config, const char *path);
/* A directory. THAW_ERR_USAGE: no adapter that PEFT has; in_memory of a network whose names do not differ. */
THAW_NODISCARD thaw_status thaw_export_peft(const thaw_setup *s, bool in_memory, const char *path);

#endif
