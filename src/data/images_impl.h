/* Lists of picture files and what they say of each: class, split, slices, cluster. */
#ifndef THAW_DATA_IMAGES_IMPL_H
#define THAW_DATA_IMAGES_IMPL_H

#include "data/named_impl.h"

/* Many paths in one block: path i begins at text.data + first[i]. */
typedef struct thaw_paths {
    thaw_str text; /* each path ended by 0 */
    size_t *first; /* (count) */
    int64_t count, room;
} thaw_paths;

const char *thaw_paths_get(const thaw_paths *paths, int64_t i);
void thaw_paths_clear(thaw_paths *paths);

/* Adds the pictures of a folder or of a CSV file to both, in step. In a folder they come in the order of splits, classes and paths, by
 * bytes; *ignored counts the files there that have no ending of a picture. A table gives them in its own order. THAW_ERR_INPUT: no
 * pictures, no class, a class without pictures, a malformed table, with its line. Whether a picture is there and whole is not looked at. */
THAW_NODISCARD thaw_status thaw_images_list(thaw_job *job, const char *source, thaw_paths *paths,
                                            int64_t *ignored);

#endif
