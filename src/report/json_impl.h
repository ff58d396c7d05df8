/* report/json_impl.h - a thaw_json is a cJSON node under another name; only these files know it. */
#ifndef THAW_REPORT_JSON_IMPL_H
#define THAW_REPORT_JSON_IMPL_H

#include "thaw/report.h"

#include <cjson/cJSON.h>

/* Beyond this a double no longer holds every integer. */
#define THAW_JSON_EXACT (INT64_C(1) << 53)

/* thaw_json_parse for a text that starts at `line` of the file that `name` names. */
THAW_NODISCARD thaw_status thaw_json_parse_line(const char *text, size_t bytes, const char *name,
                                                int64_t line, thaw_json **out);

static inline cJSON *thaw_json_node(const thaw_json *json)
{
    return (cJSON *)(uintptr_t)json;
}

static inline thaw_json *thaw_json_wrap(const cJSON *node)
{
    return (thaw_json *)(uintptr_t)node;
}

#endif
