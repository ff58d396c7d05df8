/* conv_choices.c - what is known about algorithms: a sorted list, and its text. */
#include "thaw/kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/conv_plan_impl.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Where the key is or belongs. */
static int64_t find_place(const struct conv_choices *choices, const char *key, bool *there)
{
    int64_t low = 0;
    int64_t high = choices->count;
    *there = false;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        int order = strcmp(choices->items[middle].key, key);
        if (order == 0)
            *there = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const conv_choice *conv_choice_find(const struct conv_choices *choices, const char *key)
{
    bool there;
    int64_t place = find_place(choices, key, &there);
    return there ? &choices->items[place] : NULL;
}

thaw_status conv_choice_set(struct conv_choices *choices, const char *key,
                            const conv_algorithm *algorithm, bool measured)
{
    bool there;
    int64_t place = find_place(choices, key, &there);
    if (!there) {
        if (choices->count == choices->capacity) {
            int64_t more = choices->capacity > 0 ? 2 * choices->capacity : 32;
            THAW_TRY(thaw_realloc(&choices->items, choices->count, more, sizeof *choices->items));
            choices->capacity = more;
        }
        memmove(&choices->items[place + 1], &choices->items[place],
                (size_t)(choices->count - place) * sizeof *choices->items);
        choices->count++;
        (void)thaw_copy(choices->items[place].key, CONV_KEY_BYTES, key);
    }
    choices->items[place].algorithm = algorithm;
    choices->items[place].measured = measured;
    return THAW_OK;
}

void conv_choices_free(struct conv_choices **choices)
{
    if (*choices == NULL)
        return;
    thaw_free(&(*choices)->items);
    thaw_free(choices);
}

void thaw_kern_choices_measure(thaw_kern *k, bool measure)
{
    k->choices->measure = measure;
}

/* ---- text ---- */

static void cpu_name(char name[64])
{
    (void)thaw_copy(name, 64, "unknown CPU");
#if defined(__x86_64__)
    unsigned words[12] = {0};
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            return;
    char brand[sizeof words + 1] = {0};
    memcpy(brand, words, sizeof words);
    const char *start = brand + strspn(brand, " ");
    if (*start)
        (void)thaw_copy(name, 64, start);
    for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
        name[n - 1] = 0;
#endif
}

static void first_line(const thaw_kern *k, thaw_str *out)
{
    char cpu[64];
    cpu_name(cpu);
    thaw_str_printf(out, "thaw choices 3: backend %s, %s, %s\n", k->name, k->cpu_kernels, cpu);
}

void conv_choices_text(const thaw_kern *k, bool measured_only, thaw_str *out)
{
    first_line(k, out);
    for (int64_t i = 0; i < k->choices->count; i++) {
        const conv_choice *choice = &k->choices->items[i];
        if (choice->measured || !measured_only)
            thaw_str_printf(out, "%s: %s %s\n", choice->key, choice->algorithm->name,
                            choice->measured ? "measured" : "rule");
    }
}

thaw_status thaw_kern_choices_write(const thaw_kern *k, thaw_str *out)
{
    conv_choices_text(k, false, out);
    return THAW_OK;
}

static const conv_algorithm *find_algorithm(const thaw_kern *k, const char *name)
{
    for (const conv_algorithm *const *a = k->backend->algorithms; *a; a++)
        if (strcmp((*a)->name, name) == 0)
            return *a;
    return NULL;
}

static bool parse_pass(const char *word, thaw_conv_spec *spec, thaw_conv_pass *out)
{
    char key[CONV_KEY_BYTES];
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
        conv_key(spec, pass, key);
        size_t length = strlen(word);
        if (strncmp(key, word, length) == 0 && key[length] == ' ') {
            *out = pass;
            return true;
        }
    }
    return false;
}

/* A line is right when what is understood of it, written again, is the line. */
static bool parse_line(const thaw_kern *k, const char *line, conv_choice *choice)
{
    long long n[13];
    char pass_word[32], name[32], how[16];
    thaw_conv_spec spec = {0};
    long long batch = 0;
    const char *end = strchr(line, ':');
    if (end == NULL || sscanf(end, ": %31s %15s", name, how) != 2 ||
        sscanf(line,
               "%31s C%lld H%lld W%lld O%lld kernel %lldx%lld stride %lldx%lld pad "
               "%lldx%lld dilation %lldx%lld groups %lld blocks %d %d batch %lld",
               pass_word, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9],
               &n[10], &n[11], &n[12], &spec.block_in, &spec.block_out, &batch) < 16)
        return false;
    spec.wanted[THAW_CONV_BACKWARD_WEIGHTS] = batch > 0;
    spec.shape = (thaw_conv2d){.B = batch,
                               .C = n[0],
                               .H = n[1],
                               .W = n[2],
                               .O = n[3],
                               .KH = n[4],
                               .KW = n[5],
                               .stride_h = n[6],
                               .stride_w = n[7],
                               .pad_h = n[8],
                               .pad_w = n[9],
                               .dilation_h = n[10],
                               .dilation_w = n[11],
                               .groups = n[12]};
    thaw_conv_pass pass;
    choice->algorithm = find_algorithm(k, name);
    choice->measured = strcmp(how, "measured") == 0;
    if (choice->algorithm == NULL || !(choice->measured || strcmp(how, "rule") == 0) ||
        !parse_pass(pass_word, &spec, &pass))
        return false;
    conv_key(&spec, pass, choice->key);
    char again[CONV_KEY_BYTES + 64];
    (void)thaw_format(again, sizeof again, "%s: %s %s", choice->key, name, how);
    return strcmp(again, line) == 0;
}

/* Takes one line from *text into `line`; false at the end. A text that does not end with a newline was cut off: its rest is a line too. */
static bool next_line(const char **text, char *line, size_t bytes)
{
    if (**text == 0)
        return false;
    size_t length = strcspn(*text, "\n");
    size_t kept = length < bytes - 1 ? length : bytes - 1;
    memcpy(line, *text, kept);
    line[kept] = 0;
    *text += (*text)[length] == '\n' ? length + 1 : length;
    return true;
}

static thaw_status read_lines(thaw_kern *k, const char *name, const char *text, bool take)
{
    char line[CONV_KEY_BYTES + 128];
    for (int number = 2; next_line(&text, line, sizeof line); number++) {
        conv_choice choice;
        THAW_CHECK(parse_line(k, line, &choice), THAW_ERR_INPUT,
                   "%s:%d: this is no choice of an algorithm of backend %s: \"%s\"", name, number,
                   k->name, line);
        if (take)
            THAW_TRY(conv_choice_set(k->choices, choice.key, choice.algorithm, choice.measured));
    }
    return THAW_OK;
}

thaw_status thaw_kern_choices_read(thaw_kern *k, const char *name, const char *text)
{
    thaw_str own = {0};
    first_line(k, &own);
    bool same = thaw_starts_with(text, thaw_str_c(&own));
    thaw_status status = THAW_OK;
    THAW_CHECK_TO(
        same, THAW_ERR_INPUT,
        "%s: choices of another CPU, backend, version or number of threads; this is \"%.*s\"", name,
        (int)own.length - 1, thaw_str_c(&own));
    THAW_TRY_TO(read_lines(k, name, text + own.length, false));
    THAW_TRY_TO(read_lines(k, name, text + own.length, true));
done:
    thaw_str_clear(&own);
    return status;
}

/* ---- files ---- */

void thaw_kern_choices_path(const thaw_kern *k, thaw_str *out)
{
    thaw_str_reset(out);
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    /* A relative path is to be ignored: XDG Base Directory Specification. */
    if (cache && cache[0] == '/')
        thaw_str_add(out, cache);
    else if (home && home[0] == '/')
        thaw_str_printf(out, "%s/.cache", home);
    else
        return;
    thaw_str line = {0};
    first_line(k, &line);
    thaw_digest digest = thaw_hash(line.data, line.length);
    thaw_str_printf(out, "/thaw/choices-%s-%016llx.txt", k->name, (unsigned long long)digest.low);
    thaw_str_clear(&line);
}

static void warn_and_go_on(const char *what)
{
    THAW_LOG(THAW_WARN, "%s: %s; going on without", what, thaw_error_last()->message);
    thaw_error_clear();
}

void thaw_kern_choices_load(thaw_kern *k, const char *path)
{
    if (!thaw_path_exists(path))
        return;
    thaw_str text = {0};
    thaw_status status = thaw_file_read(path, &text);
    if (status == THAW_OK)
        status = thaw_kern_choices_read(k, path, thaw_str_c(&text));
    if (status != THAW_OK)
        warn_and_go_on("choices of algorithms cannot be read");
    thaw_str_clear(&text);
}

static thaw_status save(const thaw_kern *k, const char *path)
{
    thaw_str folder = {0};
    thaw_str text = {0};
    thaw_str mine = {0};
    thaw_status status = THAW_OK;
    const char *slash = strrchr(path, '/');
    if (slash && slash > path) {
        thaw_str_add_bytes(&folder, path, (size_t)(slash - path));
        THAW_TRY_TO(thaw_mkdirs(thaw_str_c(&folder)));
    }
    conv_choices_text(k, true, &text);
    /* Several jobs of one user may save at once: each its own file, the last rename stays. */
    thaw_str_printf(&mine, "%s.%ld", path, (long)getpid());
    THAW_TRY_TO(thaw_file_write(thaw_str_c(&mine), text.data, text.length));
    status = thaw_file_commit(thaw_str_c(&mine), path);
    if (status != THAW_OK)
        (void)unlink(thaw_str_c(&mine));
done:
    thaw_str_clear(&folder);
    thaw_str_clear(&text);
    thaw_str_clear(&mine);
    return status;
}

void thaw_kern_choices_save(const thaw_kern *k, const char *path)
{
    if (save(k, path) != THAW_OK)
        warn_and_go_on("choices of algorithms cannot be saved");
}
