#include "data/images_impl.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "data/named_table_impl.h"

/* Of folders inside a class; a link to a folder above would never end. */
#define DEPTH_MOST 16

const char *thaw_paths_get(const thaw_paths *paths, int64_t i)
{
    return paths->text.data + paths->first[i];
}

void thaw_paths_clear(thaw_paths *paths)
{
    thaw_str_clear(&paths->text);
    thaw_free(&paths->first);
    *paths = (thaw_paths){0};
}

static thaw_status add_path(thaw_paths *paths, const char *path)
{
    if (paths->count == paths->room) {
        const int64_t room = paths->room == 0 ? 1024 : 2 * paths->room;
        THAW_TRY(thaw_realloc(&paths->first, paths->count, room, sizeof *paths->first));
        paths->room = room;
    }
    paths->first[paths->count++] = paths->text.length;
    thaw_str_add_bytes(&paths->text, path, strlen(path) + 1);
    return THAW_OK;
}

/* ---- Folders ---- */

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                           strcasecmp(dot, ".png") == 0);
}

/* The names in a folder that are folders (or are not), by bytes; those that begin with a dot are hidden. */
static thaw_status read_folder(const char *path, bool folders, thaw_words *names)
{
    thaw_str whole = {0};
    thaw_status status = THAW_OK;
    int64_t number = 0;
    DIR *dir = opendir(path);
    THAW_CHECK(dir != NULL, THAW_ERR_INPUT, "%s: cannot list: %s", path, strerror(errno));
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        thaw_path_join(&whole, path, e->d_name);
        if (thaw_path_is_dir(thaw_str_c(&whole)) == folders)
            THAW_TRY_TO(thaw_words_add(names, e->d_name, &number));
    }
    THAW_TRY_TO(thaw_words_sort(names, NULL));
done:
    thaw_str_clear(&whole);
    (void)closedir(dir);
    return status;
}

typedef struct listing {
    thaw_named *named;
    thaw_paths *paths;
    int64_t ignored;
    const char *split, *label;
} listing;

static thaw_status list_class(listing *l, const char *path, int depth);

static thaw_status list_inside(listing *l, const char *path, int depth)
{
    thaw_words names = {0};
    thaw_str whole = {0};
    thaw_status status = THAW_OK;
    THAW_CHECK(depth < DEPTH_MOST, THAW_ERR_INPUT,
               "%s: more than %d folders inside each other; is there a link to one above?", path,
               DEPTH_MOST);
    THAW_TRY_TO(read_folder(path, true, &names));
    for (int64_t i = 0; i < names.list.count; i++) {
        thaw_path_join(&whole, path, names.list.items[i]);
        THAW_TRY_TO(list_class(l, thaw_str_c(&whole), depth + 1));
    }
done:
    thaw_str_clear(&whole);
    thaw_words_clear(&names);
    return status;
}

static thaw_status list_class(listing *l, const char *path, int depth)
{
    thaw_words names = {0};
    thaw_str whole = {0};
    thaw_status status = THAW_OK;
    const thaw_named_row row = {.labels = &l->label, .label_count = 1, .split = l->split};
    THAW_TRY_TO(read_folder(path, false, &names));
    for (int64_t i = 0; i < names.list.count; i++) {
        if (!is_picture(names.list.items[i])) {
            l->ignored++;
            continue;
        }
        thaw_path_join(&whole, path, names.list.items[i]);
        THAW_TRY_TO(thaw_named_add(l->named, thaw_str_c(&whole), &row));
        THAW_TRY_TO(add_path(l->paths, thaw_str_c(&whole)));
    }
    THAW_TRY_TO(list_inside(l, path, depth));
done:
    thaw_str_clear(&whole);
    thaw_words_clear(&names);
    return status;
}

/* Pictures beside the folders of classes or splits have no class. */
static thaw_status warn_of_loose(const char *path)
{
    thaw_words names = {0};
    thaw_status status = THAW_OK;
    int64_t loose = 0;
    THAW_TRY_TO(read_folder(path, false, &names));
    for (int64_t i = 0; i < names.list.count; i++)
        loose += is_picture(names.list.items[i]);
    if (loose > 0)
        THAW_LOG(THAW_WARN,
                 "%s: %lld pictures lie beside the folders there, in no class, and are passed over",
                 path, (long long)loose);
done:
    thaw_words_clear(&names);
    return status;
}

/* A folder per class. */
static thaw_status list_classes(listing *l, const char *path)
{
    thaw_words names = {0};
    thaw_str whole = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_folder(path, true, &names));
    THAW_CHECK_TO(names.list.count > 0, THAW_ERR_INPUT,
                  "%s: has no folders; one for each class is wanted, %s/CLASS/*.jpg, or a CSV file",
                  path, path);
    THAW_TRY_TO(warn_of_loose(path));
    for (int64_t i = 0; i < names.list.count; i++) {
        const int64_t before = l->paths->count;
        l->label = names.list.items[i];
        thaw_path_join(&whole, path, l->label);
        THAW_TRY_TO(list_class(l, thaw_str_c(&whole), 0));
        THAW_CHECK_TO(l->paths->count > before, THAW_ERR_INPUT,
                      "%s: no picture of this class (*.jpg, *.jpeg, *.png)", thaw_str_c(&whole));
    }
done:
    thaw_str_clear(&whole);
    thaw_words_clear(&names);
    return status;
}

/* DIR/train with folders inside makes the folders of DIR splits; a class of that name has pictures inside. */
static thaw_status has_splits(const char *path, bool *yes)
{
    thaw_str train = {0};
    thaw_words inside = {0};
    thaw_status status = THAW_OK;
    *yes = false;
    thaw_path_join(&train, path, "train");
    if (thaw_path_is_dir(thaw_str_c(&train)))
        THAW_TRY_TO(read_folder(thaw_str_c(&train), true, &inside));
    *yes = inside.list.count > 0;
done:
    thaw_words_clear(&inside);
    thaw_str_clear(&train);
    return status;
}

static thaw_status list_folder(listing *l, const char *path)
{
    thaw_words splits = {0};
    thaw_str whole = {0};
    thaw_status status = THAW_OK;
    bool yes = false;
    THAW_TRY_TO(has_splits(path, &yes));
    if (!yes) {
        THAW_TRY_TO(list_classes(l, path));
        goto done;
    }
    THAW_TRY_TO(warn_of_loose(path));
    THAW_TRY_TO(read_folder(path, true, &splits));
    for (int64_t i = 0; i < splits.list.count; i++) {
        l->split = splits.list.items[i];
        thaw_path_join(&whole, path, l->split);
        THAW_TRY_TO(list_classes(l, thaw_str_c(&whole)));
    }
done:
    thaw_str_clear(&whole);
    thaw_words_clear(&splits);
    return status;
}

/* ---- Tables ---- */

/* Paths are relative to the folder of the table. */
static thaw_status add_line(const char *table, const thaw_csv *csv, int64_t path_column,
                            const thaw_table *columns, thaw_named *named, thaw_paths *paths)
{
    const char *path = thaw_csv_get(csv, path_column), *slash = strrchr(table, '/');
    thaw_str where = {0}, whole = {0};
    thaw_status status = THAW_OK;
    thaw_str_printf(&where, "%s:%lld", table, (long long)thaw_csv_line(csv));
    THAW_CHECK_TO(*path, THAW_ERR_INPUT, "%s: the path is empty", thaw_str_c(&where));
    THAW_TRY_TO(thaw_table_add(columns, csv, thaw_str_c(&where), named));
    if (*path != '/' && slash != NULL)
        thaw_str_add_bytes(&whole, table, (size_t)(slash - table) + 1);
    thaw_str_add(&whole, path);
    THAW_TRY_TO(add_path(paths, thaw_str_c(&whole)));
done:
    thaw_str_clear(&where);
    thaw_str_clear(&whole);
    return status;
}

static thaw_status list_table(thaw_job *job, const char *table, thaw_paths *paths)
{
    thaw_csv *csv = NULL;
    thaw_table columns = {0};
    int64_t path = 0;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_csv_open(table, ',', true, &csv));
    THAW_TRY_TO(thaw_csv_need(csv, "path", &path));
    THAW_TRY_TO(thaw_table_open(&columns, job, csv));
    for (bool more = true; more;) {
        THAW_TRY_TO(thaw_csv_next(csv, &more));
        if (more)
            THAW_TRY_TO(add_line(table, csv, path, &columns, &job->named, paths));
    }
    THAW_CHECK_TO(paths->count > 0, THAW_ERR_INPUT, "%s: no row after the names of columns", table);
done:
    thaw_table_close(&columns);
    thaw_csv_close(&csv);
    return status;
}

/* What only tables can say. */
static thaw_status check_folder(const thaw_job *job, const char *path)
{
    static const char *const columns[] = {"label", "split", "slice", "cluster"};
    THAW_CHECK(job->task == THAW_TASK_CLASSIFICATION, THAW_ERR_USAGE,
               "--task %s: images name one class a row in folders, such as %s; a CSV file can have "
               "several labels or numbers",
               thaw_task_name(job->task), path);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        THAW_CHECK(!thaw_import_given(job->options, columns[i]), THAW_ERR_USAGE,
                   "--%s names a column of a table, but %s is a folder; leave it out", columns[i],
                   path);
    return THAW_OK;
}

thaw_status thaw_images_list(thaw_job *job, const char *source, thaw_paths *paths, int64_t *ignored)
{
    listing l = {.named = &job->named, .paths = paths};
    *ignored = 0;
    if (!thaw_path_is_dir(source))
        return list_table(job, source, paths);
    THAW_TRY(check_folder(job, source));
    THAW_TRY(list_folder(&l, source));
    *ignored = l.ignored;
    return THAW_OK;
}
