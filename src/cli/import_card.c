#include "cli/import_impl.h"

#include <string.h>

/* The licence that a model card names: README.md of Hugging Face's repositories begins with YAML between two lines of ---
 * (huggingface.co/docs/hub/model-cards, "Model card metadata"); timm has it in config.json. */
enum { MOST_CARD = 1 << 20, MOST_LICENCE = 80 };

/* A name as cards have them, not something that a terminal would obey. */
static bool is_name(const char *text, size_t length)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:/()+_-";
    return length > 0 && length <= MOST_LICENCE && strspn(text, good) >= length;
}

/* The value behind `license:` on a line, without quotes and comment. */
static void read_value(const char *from, const char *end, thaw_str *out)
{
    for (const char *c = from; c < end; c++)
        if (*c == '#' && c[-1] == ' ')
            end = c;
    from += strspn(from, " '\"");
    while (end > from && strchr(" '\"\r", end[-1]) != NULL)
        end--;
    if (end > from && is_name(from, (size_t)(end - from)))
        thaw_str_printf(out, "%.*s", (int)(end - from), from);
    else
        THAW_LOG(THAW_WARN, "README.md beside the weights names no single licence; --licence says "
                            "which it is");
}

/* Nothing where there is no front matter, or it has no such key. */
static void read_front_matter(const char *text, thaw_str *out)
{
    static const char mark[] = "\xEF\xBB\xBF", key[] = "license:";
    if (thaw_starts_with(text, mark))
        text += strlen(mark);
    if (!thaw_starts_with(text, "---\n") && !thaw_starts_with(text, "---\r\n"))
        return;
    for (const char *line = strchr(text, '\n') + 1; !thaw_starts_with(line, "---");) {
        const char *end = line + strcspn(line, "\n");
        if (thaw_starts_with(line, key)) {
            read_value(line + strlen(key), end, out);
            return;
        }
        if (*end == '\0')
            return;
        line = end + 1;
    }
}

thaw_status import_read_licence(const char *weights, thaw_str *out)
{
    static const char card[] = "README.md";
    thaw_str path = {0}, text = {0};
    thaw_json *json = NULL;
    thaw_status status = THAW_OK;
    thaw_str_reset(out);
    if (cli_beside(weights, card, &path)) {
        THAW_TRY_TO(thaw_file_read_within(thaw_str_c(&path), MOST_CARD, &text));
        read_front_matter(thaw_str_c(&text), out);
    }
    if (thaw_str_c(out)[0] != '\0') {
        THAW_LOG(THAW_INFO, "licence: %s, as %s beside the weights says", thaw_str_c(out), card);
        goto done;
    }
    THAW_TRY_TO(cli_read_beside(weights, "config.json", &json));
    const char *said = thaw_json_string_or(thaw_json_find(json, "pretrained_cfg"), "license", "");
    if (is_name(said, strlen(said))) {
        thaw_str_add(out, said);
        THAW_LOG(THAW_INFO, "licence: %s, as config.json beside the weights says", said);
    }
done:
    thaw_json_free(&json);
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}
