#include "ladder/inspect_impl.h"

#include <string.h>

/* Which blocks' features training changed, of a run, or of a ladder's first seed of each rung that moved the backbone. */

static void describe(const thaw_block_ckas *ckas, const char *rung, thaw_json *list)
{
    thaw_json *out = thaw_json_add_object(list);
    thaw_json_set_string(out, "rung", rung);
    thaw_json_set_int(out, "samples", ckas->samples);
    thaw_json *blocks = thaw_json_set_array(out, "blocks");
    for (int64_t i = 0; i < ckas->count; i++) {
        thaw_json *row = thaw_json_add_object(blocks);
        thaw_json_set_string(row, "block", ckas->rows[i].block);
        thaw_json_set_double(row, "cka", ckas->rows[i].cka);
        thaw_json_set_double(row, "cosine", ckas->rows[i].cosine);
    }
}

/* A run of the rung, which moved features. Collective. */
static thaw_status look_at(inspection *in, thaw_comm *comm, const char *rung, const char *directory,
                           int64_t samples, thaw_json *list)
{
    thaw_config config = {0};
    thaw_block_ckas ckas = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, ladder_read_config(directory, &config)));
    THAW_TRY_TO(thaw_probe_cka(comm, &config, directory, samples, &ckas));
    describe(&ckas, rung, list);
    if (ckas.samples < 4)
        inspection_unknown(in, "CKA by block of %s: val has %lld samples, and it needs 4.", rung,
                           (long long)ckas.samples);
done:
    thaw_block_ckas_clear(&ckas);
    thaw_config_clear(&config);
    return status;
}

/* What trained something beside the head changed features; from scratch nothing was there before. */
static bool moves_features(const char *rung)
{
    return strcmp(rung, "scratch") != 0 && strcmp(rung, "frozen") != 0;
}

static thaw_status look_at_ladder(inspection *in, thaw_comm *comm, int64_t samples, thaw_json *list)
{
    for (LADDER_EACH(rung, in->summary, "rungs")) {
        thaw_str directory = {0};
        if (!moves_features(ladder_text(rung, "name"))) /* uniform */
            continue;
        ladder_trial_path(in->directory, ladder_text(rung, "seeds.0.directory"), &directory);
        const char *path = thaw_str_c(&directory);
        int64_t there = ladder_holds(path, "config.yaml") && ladder_holds(path, "adaptation.h5");
        thaw_bcast(comm, 0, &there, sizeof there); /* rank 0's view decides for all */
        thaw_status status = THAW_OK;
        if (there != 0)
            status = look_at(in, comm, ladder_text(rung, "name"), path, samples, list);
        else
            inspection_unknown(in, "CKA by block of %s: its run %s is gone.",
                               ladder_text(rung, "name"), path);
        thaw_str_clear(&directory);
        THAW_TRY(status); /* uniform */
    }
    return THAW_OK;
}

thaw_status inspection_cka(inspection *in, thaw_comm *comm, int64_t samples)
{
    const char *rung = ladder_text(in->run_summary, "rung");
    thaw_json *list = thaw_json_set_array(in->out, "block_cka");
    if (in->is_ladder) /* uniform */
        THAW_TRY(look_at_ladder(in, comm, samples, list));
    else if (moves_features(rung) && in->config.model.backbone[0] != '\0') /* uniform */
        THAW_TRY(look_at(in, comm, rung, thaw_str_c(&in->run), samples, list));
    if (thaw_json_count(list) == 0)
        inspection_unknown(in, "CKA by block: no backbone was changed.");
    return THAW_OK;
}
