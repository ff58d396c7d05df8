#include "ladder/inspect_impl.h"

#include <string.h>

/* `thaw inspect`: what can be known of a run before more of its backbone is trained. */

/* Where the backbone stands, as thaw_advise sees it. A task that keeps it from that is said, and is no failure of the rest. */
static thaw_status add_depths(inspection *in, thaw_comm *comm, int64_t most)
{
    thaw_json *advice = NULL;
    if (in->first.task != THAW_TASK_CLASSIFICATION) { /* uniform */
        inspection_unknown(in,
                           "Probes by depth, what more labels would do and labels learned by "
                           "heart: they need one class a sample, and the task is %s.",
                           thaw_task_name(in->first.task));
        return THAW_OK;
    }
    THAW_TRY(thaw_advise(comm, &in->config, most, &advice));
    thaw_json_set_take(in->out, "depths", advice);
    return THAW_OK;
}

/* What the features say that the head sees. */
static thaw_status add_features(inspection *in, thaw_comm *comm,
                                const thaw_inspect_options *options)
{
    thaw_last_features f;
    THAW_TRY(thaw_probe_last(comm, &in->config, options->samples, options->source, &f));
    thaw_status status = inspection_gap(in, options->source, &f);
    if (status == THAW_OK && in->first.task == THAW_TASK_CLASSIFICATION)
        status = inspection_labels(in, &f);
    thaw_last_features_clear(&f);
    return thaw_agree(comm, status);
}

static thaw_status compute(inspection *in, thaw_comm *comm, const thaw_inspect_options *options)
{
    THAW_CHECK(options->source == NULL ||
                   (options->samples > 0 && in->config.model.backbone[0] != '\0'),
               THAW_ERR_USAGE,
               "--source %s: a distance to the source needs samples that go through a backbone, "
               "and %s",
               options->source,
               options->samples > 0 ? "the run has none" : "--samples 0 lets none"); /* uniform */
    if (options->samples == 0) {                                                     /* uniform */
        inspection_unknown(in, "What the network would show: --samples 0 reads the files alone.");
        return THAW_OK;
    }
    if (in->config.model.backbone[0] == '\0') { /* uniform */
        inspection_unknown(in, "Probes by depth and the domain gap: the run has no backbone.");
    } else {
        THAW_TRY(add_depths(in, comm, options->samples));
        THAW_TRY(add_features(in, comm, options));
    }
    THAW_TRY(inspection_cka(in, comm, options->samples));
    return inspection_pulls(in, comm, options->samples);
}

thaw_status thaw_inspect(thaw_comm *comm, const char *directory,
                         const thaw_inspect_options *options, thaw_json **out)
{
    const double begun = thaw_seconds();
    inspection in;
    thaw_status status;
    *out = NULL;
    THAW_TRY_TO(inspection_open(&in, comm, directory));
    THAW_TRY_TO(thaw_agree(comm, inspection_read(&in)));
    THAW_TRY_TO(compute(&in, comm, options));
    thaw_json_set_take(in.out, "unknown", in.unknown);
    in.unknown = NULL;
    thaw_json_set_double(in.out, "seconds", thaw_seconds() - begun);
    *out = in.out;
    in.out = NULL;
done:
    inspection_close(&in);
    return status;
}
