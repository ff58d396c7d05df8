#include "ladder/inspect_impl.h"

#include <string.h>

/* Finds the run to look at and reads what it left. */

static thaw_status read_summary(const char *directory, thaw_json **out)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, "summary.json");
    thaw_status status =
        thaw_path_exists(thaw_str_c(&path))
            ? thaw_json_read(thaw_str_c(&path), out)
            : THAW_FAIL(THAW_ERR_INPUT,
                        "%s is not there: %s holds no finished run or ladder; finish it with "
                        "--resume first",
                        thaw_str_c(&path), directory);
    if (status == THAW_OK && !thaw_json_bool_or(*out, "complete", false))
        status = THAW_FAIL(THAW_ERR_INPUT, "%s: the run did not end well%s%s", thaw_str_c(&path),
                           thaw_json_bool_or(*out, "diverged", false) ? ": " : "",
                           ladder_text(*out, "message"));
    thaw_str_clear(&path);
    return status;
}

/* Of a ladder the frozen rung: what it would be to unfreeze is the question. */
static thaw_status choose_run(inspection *in)
{
    THAW_TRY(read_summary(in->directory, &in->summary));
    in->is_ladder = ladder_is(in->summary, "kind", "ladder");
    in->seeds = 1;
    if (!in->is_ladder) {
        thaw_str_add(&in->run, in->directory);
        return THAW_OK;
    }
    in->rung = ladder_find_kind(in->summary, "frozen");
    THAW_CHECK(in->rung != NULL, THAW_ERR_INPUT, "%s: the ladder has no rung frozen to look at",
               in->directory);
    in->seeds = thaw_json_count(thaw_json_find(in->rung, "seeds"));
    THAW_CHECK(in->seeds >= 1 && in->seeds <= THAW_MAX_SEEDS, THAW_ERR_INPUT,
               "%s: rung frozen has %lld seeds in summary.json, expected 1 to %d", in->directory,
               (long long)in->seeds, THAW_MAX_SEEDS);
    ladder_trial_path(in->directory, ladder_text(in->rung, "seeds.0.directory"), &in->run);
    return THAW_OK;
}

static thaw_status read_run(inspection *in)
{
    THAW_TRY(choose_run(in));
    if (in->is_ladder)
        THAW_TRY(read_summary(thaw_str_c(&in->run), &in->run_summary));
    else
        in->run_summary = thaw_json_copy(in->summary);
    return ladder_read_config(thaw_str_c(&in->run), &in->config);
}

/* Gate has no say in what a run learns; val chose its epoch. Rank 0's view of the directory decides for all. */
static thaw_status choose_split(inspection *in, thaw_comm *comm)
{
    int64_t gate = ladder_has_predictions(thaw_str_c(&in->run), "gate");
    thaw_bcast(comm, 0, &gate, sizeof gate);
    in->split = gate != 0 ? "gate" : "val";
    THAW_CHECK(!in->is_ladder || gate != 0, THAW_ERR_INPUT,
               "%s: predictions-gate.h5 is gone, which a ladder is judged on: run the ladder again "
               "with --overwrite",
               thaw_str_c(&in->run)); /* uniform */
    return THAW_OK;
}

/* Slices are those of the data that the run was judged on, and of no others. */
static thaw_status open_data(inspection *in)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1,
                                      .no_class_slices = !in->config.data.class_slices};
    char hex[THAW_DIGEST_HEX];
    const char *file = in->config.data.file;
    const char *name = strcmp(in->split, "gate") == 0 ? in->config.data.gate : in->config.data.val;
    THAW_TRY(thaw_dataset_open(file, &how, &in->dataset));
    thaw_digest_hex(thaw_dataset_digest(in->dataset), hex);
    THAW_CHECK(ladder_is(in->run_summary, "dataset_digest", hex), THAW_ERR_INPUT,
               "%s has digest %s now, but %s was trained on %s; import the data as they were, or "
               "train again",
               file, hex, thaw_str_c(&in->run), ladder_text(in->run_summary, "dataset_digest"));
    THAW_TRY(thaw_dataset_keep_slices(in->dataset, &in->config.data.slices));
    THAW_TRY(thaw_dataset_split_need(in->dataset, name, &in->index));
    return thaw_config_metric(&in->config, in->dataset, &in->metric);
}

static thaw_status add_seed(inspection *in, const thaw_predictions *p, const char *directory)
{
    const int64_t N = thaw_dataset_count(in->dataset, in->index);
    THAW_CHECK(p->N == N && p->K == thaw_dataset_classes(in->dataset), THAW_ERR_INPUT,
               "%s: predictions of %lld samples and %lld classes; split '%s' of %s has %lld and "
               "%lld",
               directory, (long long)p->N, (long long)p->K, in->split, in->config.data.file,
               (long long)N, (long long)thaw_dataset_classes(in->dataset));
    for (int64_t i = 0; i < N; i++)
        in->score[i] += p->score[i] / (float)in->seeds;
    return THAW_OK;
}

static thaw_status read_seed(inspection *in, thaw_comm *comm, int64_t seed)
{
    char path[64];
    thaw_str directory = {0};
    thaw_predictions p = {0};
    thaw_format(path, sizeof path, "seeds.%lld.directory", (long long)seed);
    if (seed == 0)
        thaw_str_add(&directory, thaw_str_c(&in->run));
    else
        ladder_trial_path(in->directory, ladder_text(in->rung, path), &directory);
    thaw_status status;
    THAW_TRY_TO(thaw_predictions_read(comm, thaw_str_c(&directory), in->split, &p));
    status = thaw_agree(comm, add_seed(in, &p, thaw_str_c(&directory)));
    if (seed == 0) {
        in->first = p;
        p = (thaw_predictions){0};
    }
done:
    thaw_predictions_clear(&p);
    thaw_str_clear(&directory);
    return status;
}

thaw_status inspection_open(inspection *in, thaw_comm *comm, const char *directory)
{
    *in = (inspection){
        .directory = directory, .out = thaw_json_new_object(), .unknown = thaw_json_new_array()};
    THAW_TRY(thaw_agree(comm, read_run(in)));
    THAW_TRY(choose_split(in, comm)); /* uniform */
    THAW_TRY(thaw_agree(comm, open_data(in)));
    const int64_t N = thaw_dataset_count(in->dataset, in->index);
    THAW_TRY(thaw_agree(comm, thaw_alloc(&in->score, N, sizeof *in->score)));
    for (int64_t seed = 0; seed < in->seeds; seed++)
        THAW_TRY(read_seed(in, comm, seed));
    return THAW_OK;
}

void inspection_close(inspection *in)
{
    thaw_json_free(&in->unknown);
    thaw_json_free(&in->out);
    thaw_free(&in->score);
    thaw_predictions_clear(&in->first);
    thaw_dataset_free(&in->dataset);
    thaw_config_clear(&in->config);
    thaw_json_free(&in->run_summary);
    thaw_json_free(&in->summary);
    thaw_str_clear(&in->run);
}
