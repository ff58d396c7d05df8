#include <string.h>

#include "ladder/ladder_impl.h"

/* report.html of a ladder: the verdict first, then what it rests on. */

thaw_status ladder_write_html(const thaw_json *summary, const char *directory, const char *path)
{
    thaw_html html = {0};
    thaw_str note = {0};
    thaw_status status;
    (void)directory;
    THAW_TRY_TO(ladder_note_markdown(summary, &note));
    thaw_html_section(&html, "Transfer note");
    thaw_html_markdown(&html, thaw_str_c(&note));
    status = thaw_html_write(&html, thaw_json_string_or(summary, "name", "ladder"), NULL, path);
done:
    thaw_html_clear(&html);
    thaw_str_clear(&note);
    return status;
}
