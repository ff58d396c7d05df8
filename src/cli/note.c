#include "thaw/ladder.h"

#include "cli/cli_impl.h"

static thaw_status run(const cli_args *args)
{
    THAW_TRY(thaw_ladder_render(args->words[0]));
    thaw_str path = {0};
    thaw_str note = {0};
    thaw_path_join(&path, args->words[0], args->json ? "note.json" : "note.md");
    const thaw_status status = thaw_file_read(thaw_str_c(&path), &note);
    if (status == THAW_OK)
        cli_print("%s", thaw_str_c(&note));
    thaw_str_clear(&note);
    thaw_str_clear(&path);
    return status;
}

const cli_command cli_note = {
    .usage = "RUN",
    .doc = "writes a ladder's note.md, note-full.md, note.json and report.html again and prints "
           "the note",
    .least_words = 1,
    .most_words = 1,
    .run_local = run,
};
