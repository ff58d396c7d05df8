#include "thaw/h5.h"

#include "cli/info_impl.h"

static void add_list(thaw_json *out, const char *key, const char *const *names)
{
    thaw_json *list = thaw_json_set_array(out, key);
    for (; *names != NULL; names++)
        thaw_json_add_string(list, *names);
}

static void print_list(const char *title, const char *const *names)
{
    thaw_str line = {0};
    for (; *names != NULL; names++)
        thaw_str_printf(&line, " %s", *names);
    cli_print("%-14s%s", title, thaw_str_c(&line));
    thaw_str_clear(&line);
}

#define MOST_ARCHS 64

static const char *const *arch_names(const char *names[MOST_ARCHS + 1])
{
    int32_t i = 0;
    for (; i < thaw_model_arch_count() && i < MOST_ARCHS; i++)
        names[i] = thaw_model_arch_at(i)->name;
    names[i] = NULL;
    return names;
}

static thaw_status inform(thaw_comm *comm, const cli_args *args)
{
    const char *archs[MOST_ARCHS + 1];
    thaw_kern *kern = NULL;
    THAW_TRY(thaw_agree(comm, thaw_kern_open("auto", &kern)));
    const struct {
        const char *title;
        const char *const *names;
    } kinds[] = {{"backends", thaw_kern_names()},        {"architectures", arch_names(archs)},
                 {"operators", thaw_op_names()},         {"peft", thaw_peft_names()},
                 {"optimizers", thaw_optimizer_names()}, {"schedules", thaw_schedule_names()},
                 {"importers", thaw_import_formats()}};
    const size_t count = sizeof kinds / sizeof *kinds;
    if (args->json && thaw_comm_rank(comm) == 0) {
        thaw_json *out = thaw_json_new_object();
        thaw_json_set_string(out, "version", thaw_version());
        thaw_json_set_string(out, "commit", thaw_commit());
        thaw_json_set_int(out, "ranks", thaw_comm_size(comm));
        thaw_json_set_int(out, "nodes", thaw_comm_node_count(comm));
        thaw_json_set_int(out, "threads", thaw_threads());
        thaw_json_set_int(out, "cores", thaw_cores());
        thaw_json_set_string(out, "mpi", thaw_comm_library());
        thaw_json_set_string(out, "hdf5", thaw_h5_library());
        thaw_json_set_string(out, "backend", kern->name);
        thaw_json_set_string(out, "cpu_kernels", kern->cpu_kernels);
        for (size_t i = 0; i < count; i++)
            add_list(out, kinds[i].title, kinds[i].names);
        cli_print_json(out);
        thaw_json_free(&out);
    } else if (thaw_comm_rank(comm) == 0) {
        cli_print("thaw %s (%s)", thaw_version(), thaw_commit());
        cli_print("%-15s%d on %d node%s", "ranks", thaw_comm_size(comm), thaw_comm_node_count(comm),
                  thaw_comm_node_count(comm) == 1 ? "" : "s");
        cli_print("%-15s%d per rank, on %d core%s (OMP_NUM_THREADS, affinity mask)", "threads",
                  thaw_threads(), thaw_cores(), thaw_cores() == 1 ? "" : "s");
        cli_print("%-15s%s", "MPI", thaw_comm_library());
        cli_print("%-15s%s", "HDF5", thaw_h5_library());
        cli_print("%-15s%s, running %s kernels", "backend", kern->name, kern->cpu_kernels);
        for (size_t i = 0; i < count; i++)
            print_list(kinds[i].title, kinds[i].names);
    }
    thaw_kern_close(&kern);
    return THAW_OK;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    if (args->word_count > 0) /* uniform */
        return cli_info_checkpoint(comm, args->words[0], args->json);
    return inform(comm, args);
}

const cli_command cli_info = {
    .usage = "[CHECKPOINT]",
    .doc =
        "shows versions, ranks, the backend and CPU kernels in use, and all registered kinds; or "
        "a checkpoint",
    .help = "CHECKPOINT is a file of a run's checkpoints, its adaptation.h5, or the directory of a "
            "run, whose newest whole checkpoint is taken. Shown are the run, step and epoch, each "
            "tensor with type, shape and digest, and whether everything is as it was written; "
            "where it is not, the exit code is 3.",
    .most_words = 1,
    .run = run,
};
