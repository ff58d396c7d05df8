/* conf/example.h - a struct with every type of row, for the tests of conf. */
#ifndef THAW_TESTS_CONF_EXAMPLE_H
#define THAW_TESTS_CONF_EXAMPLE_H

#include "thaw/conf.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct optim_config {
    int name;
    double rate;
    thaw_doubles rates;
} optim_config;

typedef struct peft_config {
    int64_t rank;
    char *target;
    bool merge;
} peft_config;

typedef struct train_config {
    int64_t batch, shards;
    bool augment;
    optim_config optim;
    peft_config peft;
} train_config;

typedef struct example {
    char *title;
    train_config train;
    thaw_strings rungs;
    thaw_ints seeds;
} example;

static const char *const optim_names[] = {"sgd", "adamw", NULL};

static const thaw_field optim_fields[] = {
    {"name", THAW_FIELD_ENUM, THAW_FIELD(optim_config, name, int), "sgd", 0, 0, optim_names, NULL,
     "Optimizer."},
    {"rate", THAW_FIELD_DOUBLE, THAW_FIELD(optim_config, rate, double), "0.1", 0, 10, NULL, NULL,
     "Learning rate."},
    {"rates", THAW_FIELD_DOUBLES, THAW_FIELD(optim_config, rates, thaw_doubles), "[0.1, 1e-3]", 0,
     1, NULL, NULL, "Rates to try | in order."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, NULL},
};

static const thaw_field peft_fields[] = {
    {"rank", THAW_FIELD_INT, THAW_FIELD(peft_config, rank, int64_t), NULL, 1, 64, NULL, NULL,
     "Rank of the added matrices."},
    {"target", THAW_FIELD_STRING, THAW_FIELD(peft_config, target, char *), "*", 0, 0, NULL, NULL,
     "Which layers."},
    {"merge", THAW_FIELD_BOOL, THAW_FIELD(peft_config, merge, bool), "false", 0, 0, NULL, NULL,
     "Merge at the end."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, NULL},
};

static const thaw_field train_fields[] = {
    {"batch", THAW_FIELD_INT, THAW_FIELD(train_config, batch, int64_t), NULL, 1, 65536, NULL, NULL,
     "Samples per step."},
    {"shards", THAW_FIELD_INT, THAW_FIELD(train_config, shards, int64_t), "24", 1, INFINITY, NULL,
     NULL, "Equal parts of a batch."},
    {"augment", THAW_FIELD_BOOL, THAW_FIELD(train_config, augment, bool), "true", 0, 0, NULL, NULL,
     "Change the images."},
    {"optim", THAW_FIELD_TABLE, THAW_FIELD(train_config, optim, optim_config), NULL, 0, 0, NULL,
     optim_fields, "Optimizer."},
    {"peft", THAW_FIELD_TABLE, THAW_FIELD(train_config, peft, peft_config), "", 0, 0, NULL,
     peft_fields, "Small surface."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, NULL},
};

static const thaw_field example_fields[] = {
    {"title", THAW_FIELD_STRING, THAW_FIELD(example, title, char *), "", 0, 0, NULL, NULL,
     "Name of the run."},
    {"train", THAW_FIELD_TABLE, THAW_FIELD(example, train, train_config), NULL, 0, 0, NULL,
     train_fields, "Training."},
    {"rungs", THAW_FIELD_STRINGS, THAW_FIELD(example, rungs, thaw_strings), "[frozen, full]", 0, 0,
     NULL, NULL, "Rungs."},
    {"seeds", THAW_FIELD_INTS, THAW_FIELD(example, seeds, thaw_ints), "", 0, 0, NULL, NULL,
     "Seeds."},
    {NULL, 0, 0, NULL, 0, 0, NULL, NULL, NULL},
};

/* Parses text as job.yaml with up to two overrides and fills the example. */
static inline thaw_status read_example(const char *text, const char *first, const char *second,
                                       example *out)
{
    char *items[2] = {(char *)first, (char *)second};
    thaw_strings overrides = {items, (first != NULL) + (second != NULL)};
    thaw_conf *conf = NULL;
    thaw_status status = thaw_conf_parse_text("job.yaml", text, strlen(text), &overrides, &conf);
    if (status == THAW_OK)
        status = thaw_conf_fill(conf, example_fields, "", out);
    thaw_conf_free(&conf);
    return status;
}

#endif
