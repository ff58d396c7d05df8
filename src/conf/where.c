#include "thaw/conf.h"

#include <string.h>

#include "conf/tree_impl.h"

const char *thaw_conf_show(const char *text, char out[THAW_CONF_SHOWN])
{
    size_t used = 0;
    for (; *text != 0 && used < THAW_CONF_SHOWN - 4; text++) {
        unsigned char c = (unsigned char)*text;
        out[used++] = c < 0x20 || c == 0x7f ? '?' : *text;
    }
    out[used] = 0;
    if (*text != 0) {
        /* Not in the middle of a UTF-8 sequence. */
        while (used > 0 && ((unsigned char)out[used - 1] & 0xc0) == 0x80)
            used--;
        if (used > 0 && ((unsigned char)out[used - 1] & 0x80) != 0)
            used--;
        memcpy(out + used, "...", 4);
    }
    return out;
}

static void add_place(thaw_str *out, const thaw_conf *conf, int line, int column, const char *path)
{
    if (line > 0)
        thaw_str_printf(out, "%s:%d:%d", conf->name, line, column);
    else if (thaw_starts_with(conf->name, "--set "))
        thaw_str_add(out, conf->name);
    else
        thaw_str_printf(out, "--set %s", path);
}

static thaw_status fail_words(const thaw_conf *conf, int line, int column, const char *path,
                              const char *format, va_list args)
{
    thaw_str words = {0};
    char shown[THAW_CONF_SHOWN * 4];
    add_place(&words, conf, line, column, path);
    thaw_str_add(&words, ": ");
    /* An override is its own place: "--set train.batch: ..." says the path already. */
    if (path[0] != 0 && line > 0) {
        thaw_copy(shown, sizeof shown, path);
        for (char *c = shown; *c != 0; c++) {
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        }
        thaw_str_printf(&words, "%s: ", shown);
    }
    thaw_str_vprintf(&words, format, args);
    (void)THAW_FAIL(THAW_ERR_CONFIG, "%s", thaw_str_c(&words));
    thaw_str_clear(&words);
    return THAW_ERR_CONFIG;
}

thaw_status thaw_conf_fail(const thaw_conf *conf, int line, int column, const char *path,
                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    thaw_status status = fail_words(conf, line, column, path, format, args);
    va_end(args);
    return status;
}

/* A mapping is pointed at by its key, a text or list by itself; what is absent by what is around it. */
static void place_of(const thaw_conf *conf, const char *path, int *line, int *column)
{
    thaw_conf_place place = thaw_conf_find(conf, path, false);
    const thaw_conf_node *node = place.node != NULL ? place.node : place.around;
    const thaw_conf_child *child = place.node != NULL ? place.child : place.around_child;
    bool by_key = child != NULL && node->kind == THAW_CONF_MAP;
    *line = by_key ? child->line : node->line;
    *column = by_key ? child->column : node->column;
}

thaw_status thaw_conf_error_at(const thaw_conf *conf, const char *path, const char *format, ...)
{
    int line;
    int column;
    va_list args;
    place_of(conf, path, &line, &column);
    va_start(args, format);
    thaw_status status = fail_words(conf, line, column, path, format, args);
    va_end(args);
    return status;
}

void thaw_conf_where(const thaw_conf *conf, const char *path, thaw_str *out)
{
    int line;
    int column;
    place_of(conf, path, &line, &column);
    add_place(out, conf, line, column, path);
}
