/* open.c - the table of backends, fastest first. */
#include "thaw/kern.h"

#include <string.h>

#include "kern/conv_plan_impl.h"

static const conv_algorithm *const plain_algorithms[] = {&conv_plain, NULL};

#if !THAW_WITH_ONEDNN
static thaw_status onednn_absent(thaw_kern *k)
{
    (void)k;
    return THAW_FAIL(THAW_ERR_FAIL, "this build has no oneDNN; install it (Debian: libdnnl-dev) "
                                    "and build again, or use backend openblas");
}
#endif

static const kern_backend backends[] = {
#if THAW_WITH_ONEDNN
    {"onednn", kern_onednn_open, kern_onednn_close, kern_onednn_algorithms, &kern_onednn_int8},
#else
    {"onednn", onednn_absent, NULL, plain_algorithms, NULL},
#endif
    {"openblas", kern_openblas_open, kern_openblas_close, plain_algorithms, NULL},
    {"native", kern_native_open, kern_native_close, plain_algorithms, NULL},
    {"ref", kern_ref_open, NULL, plain_algorithms, NULL},
};
enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

const char *const *thaw_kern_names(void)
{
    static const char *const names[] = {"onednn", "openblas", "native", "ref", NULL};
    return names;
}

static const kern_backend *find_backend(const char *name)
{
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    return NULL;
}

static thaw_status open_backend(const kern_backend *backend, thaw_kern **out)
{
    thaw_kern *k = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&k, 1, sizeof *k));
    k->name = backend->name;
    k->backend = backend;
    k->block = 1;
    k->has_linear_int8 = backend->open != kern_ref_open && thaw_linear8_has_kernels();
    THAW_TRY_TO(thaw_alloc(&k->choices, 1, sizeof *k->choices));
    THAW_TRY_TO(backend->open(k));
    *out = k;
    return THAW_OK;
done:
    conv_choices_free(&k->choices);
    thaw_free(&k);
    return status;
}

/* Tries the table in order; a fallback is said aloud, because it costs the user time. */
static thaw_status open_fastest(thaw_kern **out)
{
    for (int i = 0; i < BACKEND_COUNT; i++) {
        if (open_backend(&backends[i], out) == THAW_OK)
            return THAW_OK;
        if (i + 1 < BACKEND_COUNT)
            THAW_LOG(THAW_WARN, "backend %s cannot be used (%s); falling back to %s",
                     backends[i].name, thaw_error_last()->message, backends[i + 1].name);
        thaw_error_clear();
    }
    return THAW_FAIL(THAW_ERR_FAIL, "no backend of kern could be opened");
}

static thaw_status unknown_name(const char *name)
{
    const char *candidates[BACKEND_COUNT + 1];
    thaw_str list = {0};
    for (int i = 0; i < BACKEND_COUNT; i++) {
        candidates[i] = backends[i].name;
        thaw_str_printf(&list, "%s, ", backends[i].name);
    }
    candidates[BACKEND_COUNT] = "auto";
    thaw_str_add(&list, "auto");
    const char *near = thaw_did_you_mean(name, candidates, BACKEND_COUNT + 1);
    thaw_status status =
        near ? THAW_FAIL(THAW_ERR_USAGE,
                         "there is no backend \"%s\"; did you mean \"%s\"? (known: %s)", name, near,
                         thaw_str_c(&list))
             : THAW_FAIL(THAW_ERR_USAGE, "there is no backend \"%s\" (known: %s)", name,
                         thaw_str_c(&list));
    thaw_str_clear(&list);
    return status;
}

thaw_status thaw_kern_open(const char *name, thaw_kern **out)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0)
        return open_fastest(out);
    const kern_backend *backend = find_backend(name);
    return backend ? open_backend(backend, out) : unknown_name(name);
}

void thaw_kern_close(thaw_kern **kern)
{
    if (*kern == NULL)
        return;
    if ((*kern)->backend->close)
        (*kern)->backend->close(*kern);
    conv_choices_free(&(*kern)->choices);
    thaw_free(kern);
}
