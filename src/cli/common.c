#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli_impl.h"

void cli_print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void cli_print_json(const thaw_json *json)
{
    thaw_str text = {0};
    thaw_json_pretty(json, &text);
    printf("%s\n", thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* Bytes of a text file on every rank; read once, by rank 0. */
static thaw_status share_file(thaw_comm *comm, const char *path, thaw_str *out)
{
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0 && thaw_file_read(path, out) != THAW_OK)
        status = THAW_FAIL(THAW_ERR_CONFIG, "%s: cannot read the config: %s", path,
                           thaw_path_exists(path) ? "it is not a readable file" : "no such file");
    THAW_TRY(thaw_agree(comm, status));
    int64_t bytes = (int64_t)out->length;
    thaw_bcast(comm, 0, &bytes, sizeof bytes);
    for (int64_t i = (int64_t)out->length; i < bytes; i++)
        thaw_str_add_bytes(out, "", 1);
    thaw_bcast(comm, 0, out->data, bytes);
    return THAW_OK;
}

thaw_status cli_load_config(thaw_comm *comm, const cli_args *args, thaw_config *out)
{
    thaw_str text = {0};
    const char *path = args->words[0];
    memset(out, 0, sizeof *out);
    thaw_status status;
    THAW_TRY_TO(share_file(comm, path, &text));
    status =
        thaw_agree(comm, thaw_config_parse(path, thaw_str_c(&text), text.length, &args->sets, out));
done:
    thaw_str_clear(&text);
    return status;
}

thaw_status cli_check_launch(const thaw_comm *comm)
{
    const int64_t tasks = thaw_comm_tasks_of_job(comm);
    THAW_CHECK(tasks == 1, THAW_ERR_USAGE,
               "SLURM_NTASKS is %lld, but this process is alone; start all ranks with \"srun "
               "--mpi=pmix thaw ...\" or "
               "\"mpirun thaw ...\", or one on purpose with \"srun -n 1 thaw ...\"",
               (long long)tasks);
    return THAW_OK;
}

thaw_status cli_deadline(const cli_args *args, double *out)
{
    const char *given = cli_value(args, "time-limit");
    const char *end = getenv("SLURM_JOB_END_TIME");
    double seconds = 0;
    *out = 0;
    if (given == NULL && end == NULL)
        return THAW_OK;
    if (given != NULL) {
        THAW_CHECK(thaw_parse_double(given, &seconds) && seconds >= 0, THAW_ERR_USAGE,
                   "--time-limit takes seconds from now, 0 for no limit, not '%s'", given);
        *out = seconds > 0 ? thaw_seconds() + seconds : 0;
        return THAW_OK;
    }
    THAW_CHECK(
        thaw_parse_double(end, &seconds) && seconds > 0, THAW_ERR_USAGE,
        "SLURM_JOB_END_TIME is '%s', not seconds since 1970; say --time-limit SECONDS, 0 for "
        "no limit",
        end);
    *out = thaw_seconds() + (seconds - (double)time(NULL));
    return THAW_OK;
}

void cli_add_metric(thaw_table *table, const thaw_metric *metric, double value)
{
    if (isnan(value))
        thaw_table_cell(table, "undefined");
    else if (metric->share)
        thaw_table_value(table, value, THAW_UNIT_PERCENT);
    else
        thaw_table_printf(table, "%.5g", value);
}

void cli_print_table(const thaw_table *table)
{
    thaw_str text = {0};
    thaw_table_text(table, &text);
    printf("%s", thaw_str_c(&text));
    thaw_str_clear(&text);
}
