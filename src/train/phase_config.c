#include "train/train_impl.h"

#include <string.h>

/* What the config says of phases, and what of it is nonsense. */

#define RATE(key, member, most_, doc_)                                                             \
    {                                                                                              \
        .name = key, .type = THAW_FIELD_DOUBLE,                                                    \
        .offset = THAW_FIELD(thaw_phase_rates, member, double), .preset = "-1", .least = -1,       \
        .most = most_, .doc = doc_                                                                 \
    }

static const thaw_field rates_fields[] = {
    RATE("head", head, 1e3, "learning rate of the head; -1: that of `rates`"),
    RATE("backbone", backbone, 1e3,
         "learning rate of the backbone's last block; -1: that of `rates`"),
    RATE("adapter", adapter, 1e3, "learning rate of adapters; -1: that of `rates`"),
    RATE("layer_decay", layer_decay, 1,
         "factor on the backbone's rate for each block further down; -1: that of `rates`"),
    {.name = NULL}};

const thaw_field thaw_phase_fields[] = {
    {.name = "rung",
     .type = THAW_FIELD_STRING,
     .offset = THAW_FIELD(thaw_phase_config, rung, char *),
     .doc = "what trains: frozen, partial:K, partial:first:K, partial:NAMES or full"},
    {.name = "epochs",
     .type = THAW_FIELD_INT,
     .offset = THAW_FIELD(thaw_phase_config, epochs, int64_t),
     .preset = "0",
     .least = 0,
     .most = 1e6,
     .doc = "its length; 0: as `patience` says, in the last phase the rest of train.epochs"},
    {.name = "patience",
     .type = THAW_FIELD_INT,
     .offset = THAW_FIELD(thaw_phase_config, patience, int64_t),
     .preset = "0",
     .least = 0,
     .most = 1e6,
     .doc = "it ends when val has not got better for so many of its epochs, early enough for the "
            "later phases; 0: off"},
    {.name = "rates",
     .type = THAW_FIELD_TABLE,
     .offset = THAW_FIELD(thaw_phase_config, rates, thaw_phase_rates),
     .table = rates_fields,
     .doc = "learning rates of the phase"},
    {.name = NULL, .offset = sizeof(thaw_phase_config)}};

const thaw_phase_config *thaw_config_phase(const thaw_config *config, int64_t phase)
{
    THAW_ASSERT(phase >= 0 && phase < config->phases.count);
    return (const thaw_phase_config *)config->phases.items + phase;
}

thaw_rates thaw_config_rates(const thaw_config *config, int64_t phase)
{
    thaw_rates rates = config->rates;
    if (config->phases.count == 0)
        return thaw_rates_at(&rates, config->train.batch);
    const thaw_phase_rates *own = &thaw_config_phase(config, phase)->rates;
    const struct {
        double own, *rate;
    } each[] = {{own->head, &rates.head},
                {own->backbone, &rates.backbone},
                {own->adapter, &rates.adapter},
                {own->layer_decay, &rates.layer_decay}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        if (each[i].own >= 0)
            *each[i].rate = each[i].own;
    }
    return thaw_rates_at(&rates, config->train.batch);
}

/* At least one, also where no number is set. */
static int64_t epochs_of(const thaw_config *config, int64_t phase)
{
    const int64_t epochs = thaw_config_phase(config, phase)->epochs;
    return epochs > 0 ? epochs : 1;
}

int64_t thaw_phases_latest_end(const thaw_config *config, int64_t phase)
{
    int64_t end = config->train.epochs;
    for (int64_t later = phase + 1; later < config->phases.count; later++)
        end -= epochs_of(config, later);
    return end;
}

static const char *path_of(int64_t phase, const char *key, char out[64])
{
    (void)thaw_format(out, 64, "phases.%lld%s%s", (long long)phase, key[0] != '\0' ? "." : "", key);
    return out;
}

static thaw_status check_rung(const thaw_conf *conf, const thaw_config *config, int64_t phase)
{
    char path[64];
    thaw_rung rung;
    path_of(phase, "rung", path);
    THAW_TRY(
        thaw_config_at(conf, path, thaw_rung_parse(thaw_config_phase(config, phase)->rung, &rung)));
    if (rung.kind == THAW_RUNG_SCRATCH)
        return thaw_conf_error_at(conf, path,
                                  "scratch begins with random weights, and phases go on from a "
                                  "backbone; full trains all of it");
    if (rung.kind == THAW_RUNG_PEFT)
        return thaw_conf_error_at(conf, path,
                                  "peft is not built as a phase: an adapter would change the "
                                  "network in the middle of the run; run it alone, with "
                                  "train.head_from where a head was trained before");
    return THAW_OK;
}

static thaw_status check_length(const thaw_conf *conf, const thaw_config *config, int64_t phase)
{
    char path[64];
    const thaw_phase_config *p = thaw_config_phase(config, phase);
    const bool last = phase == config->phases.count - 1;
    if (!last && p->epochs == 0 && p->patience == 0)
        return thaw_conf_error_at(
            conf, path_of(phase, "", path),
            "says neither epochs nor patience, so that it would not end; only "
            "the last phase may leave both out");
    if (p->patience > 0 && p->epochs > 0 && p->patience >= p->epochs)
        return thaw_conf_error_at(conf, path_of(phase, "patience", path),
                                  "%lld is never reached in %lld epochs; choose less, or leave it "
                                  "out",
                                  (long long)p->patience, (long long)p->epochs);
    if (p->rates.layer_decay >= 0 && p->rates.layer_decay < 1e-3)
        return thaw_conf_error_at(conf, path_of(phase, "rates.layer_decay", path),
                                  "%g is out of range; expected between 0.001 and 1, or -1",
                                  p->rates.layer_decay);
    return THAW_OK;
}

/* All phases must fit; where every length is set, nothing may be left over either. */
static thaw_status check_sum(const thaw_conf *conf, const thaw_config *config)
{
    int64_t sum = 0;
    bool all = true;
    for (int64_t i = 0; i < config->phases.count; i++) {
        sum += epochs_of(config, i);
        all = all && thaw_config_phase(config, i)->epochs > 0;
    }
    if (sum > config->train.epochs)
        return thaw_conf_error_at(conf, "phases", "take %s%lld epochs, but train.epochs is %lld",
                                  all ? "" : "at least ", (long long)sum,
                                  (long long)config->train.epochs);
    if (all && sum < config->train.epochs)
        return thaw_conf_error_at(conf, "phases",
                                  "take %lld epochs, but train.epochs is %lld; leave epochs of the "
                                  "last phase out, and it gets the rest",
                                  (long long)sum, (long long)config->train.epochs);
    return THAW_OK;
}

thaw_status thaw_phases_check(const thaw_conf *conf, const thaw_config *config)
{
    if (config->phases.count == 0)
        return THAW_OK;
    if (config->phases.count > THAW_MOST_PHASES)
        return thaw_conf_error_at(conf, "phases", "are %lld; at most %d are built",
                                  (long long)config->phases.count, THAW_MOST_PHASES);
    for (int64_t i = 0; i < config->phases.count; i++) {
        THAW_TRY(check_rung(conf, config, i));
        THAW_TRY(check_length(conf, config, i));
    }
    if (config->train.frozen_precision != THAW_PRECISION_F32)
        return thaw_conf_error_at(conf, "train.frozen_precision",
                                  "8 bits are not built for a run with phases, whose frozen part "
                                  "changes; leave it out");
    return check_sum(conf, config);
}

thaw_status thaw_phases_name_rung(const thaw_conf *conf, thaw_config *config)
{
    if (config->phases.count == 0)
        return THAW_OK;
    const char *last = thaw_config_phase(config, config->phases.count - 1)->rung;
    if (thaw_conf_has(conf, "rung") && strcmp(config->rung, last) != 0)
        return thaw_conf_error_at(conf, "rung",
                                  "is %s, but the last phase trains %s; leave it out: with phases "
                                  "the rung of a run is that of its last one",
                                  config->rung, last);
    thaw_free(&config->rung);
    return thaw_strdup(&config->rung, last);
}
