#include "train/train_impl.h"

/* Calibration of a run's predictions, as they are and at the temperature that fits val. */

static thaw_judged judged_of(const thaw_predictions *p, const float *outputs)
{
    return (thaw_judged){.task = p->task,
                         .N = p->N,
                         .K = p->K,
                         .labels = p->labels,
                         .predicted = p->predicted,
                         .outputs = outputs};
}

bool thaw_predictions_calibrates(const thaw_predictions *p)
{
    return p->task == THAW_TASK_CLASSIFICATION && p->labelled && p->N > 0;
}

double thaw_predictions_temperature(const thaw_predictions *p)
{
    const thaw_judged j = judged_of(p, p->outputs);
    THAW_ASSERT(thaw_predictions_calibrates(p));
    return thaw_temperature_fit(&j);
}

thaw_status thaw_predictions_calibrate(const thaw_predictions *p, double temperature,
                                       const thaw_bootstrap *how, thaw_calibration *out)
{
    float *outputs = NULL;
    thaw_status status;
    THAW_ASSERT(thaw_predictions_calibrates(p));
    THAW_TRY_TO(thaw_alloc(&outputs, p->N * p->K, sizeof *outputs));
    thaw_temperature_apply(p->outputs, p->N, p->K, temperature, outputs);
    const thaw_judged j = judged_of(p, temperature == 1 ? p->outputs : outputs);
    status = thaw_calibrate(&j, p->cluster, THAW_CALIBRATION_BINS, how, out);
done:
    thaw_free(&outputs);
    return status;
}

thaw_status thaw_run_temperature(thaw_comm *comm, const char *run_directory, int64_t classes,
                                 double *temperature)
{
    thaw_predictions val;
    THAW_TRY(thaw_predictions_read(comm, run_directory, "val", &val));
    thaw_status status = THAW_OK;
    if (!thaw_predictions_calibrates(&val) || val.K != classes)
        status = THAW_FAIL(THAW_ERR_USAGE,
                           "%s: a temperature is for one class of several, fitted on labelled "
                           "samples of val with the same classes; leave calibration out",
                           run_directory);
    else
        *temperature = thaw_predictions_temperature(&val);
    thaw_predictions_clear(&val);
    return status;
}

void thaw_predictions_temper(thaw_predictions *p, double temperature)
{
    if (temperature != 1)
        thaw_temperature_apply(p->outputs, p->N, p->K, temperature, p->outputs);
}

void thaw_calibration_to_json(const thaw_calibration *c, thaw_json *out)
{
    const double ece[] = {c->ece_interval.low, c->ece_interval.high};
    const double brier[] = {c->brier_interval.low, c->brier_interval.high};
    const double nll[] = {c->nll_interval.low, c->nll_interval.high};
    thaw_json_set_int(out, "bins", c->bins);
    thaw_json_set_double(out, "ece", c->ece);
    thaw_json_set_doubles(out, "ece_interval", ece, 2);
    thaw_json_set_double(out, "brier", c->brier);
    thaw_json_set_doubles(out, "brier_interval", brier, 2);
    thaw_json_set_double(out, "nll", c->nll);
    thaw_json_set_doubles(out, "nll_interval", nll, 2);
}
