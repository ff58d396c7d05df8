/* adapt_impl.h - what one PEFT method gives to the common code. */
#ifndef ADAPT_ADAPT_IMPL_H
#define ADAPT_ADAPT_IMPL_H

#include "thaw/adapt.h"

/* Everything but `trains` may be NULL. */
typedef struct adapt_method {
    const char *name;
    /* Adds the method's nodes and parameters (adapter = true) to a finished graph. */
    thaw_status (*attach)(thaw_model *model, const thaw_peft *peft);
    /* Whether a parameter that is not of the head is part of the method's surface. */
    bool (*trains)(const thaw_param *p);
    thaw_status (*merge)(thaw_model *model);
    /* One phrase: "lora in 20 modules". Appends. */
    void (*describe)(const thaw_model *model, thaw_str *out);
} adapt_method;

#define THAW_KIND(name, doc) extern const adapt_method adapt_kind_##name;
#include "adapt/kinds.def"
#undef THAW_KIND

const adapt_method *adapt_method_at(int method);
/* Of the method that a model has attached; NULL: none. */
const adapt_method *adapt_method_of(const thaw_model *model);

/* Marks the head, and what the patterns of a partial rung name. THAW_ERR_CONFIG for a pattern that names nothing. */
THAW_NODISCARD thaw_status adapt_mark_patterns(thaw_model *model, const char *patterns);
/* An error for a pattern that names nothing: suggests among blocks, stages and modules. */
THAW_NODISCARD thaw_status adapt_no_match(const thaw_model *model, const char *what,
                                          const char *pattern);

#endif
