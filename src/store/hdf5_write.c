#include "thaw/store.h"

#include "thaw/h5.h"

thaw_status thaw_hdf5_write(const char *path, const thaw_state *tensors, const thaw_strings *words)
{
    thaw_state attributes = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_state_add_text(&attributes, "format", "thaw-weights"));
    for (int64_t i = 0; words != NULL && i + 1 < words->count; i += 2)
        THAW_TRY_TO(thaw_state_add_text(&attributes, words->items[i], words->items[i + 1]));
    const thaw_h5_write what = {.state = tensors, .attributes = &attributes};
    status = thaw_h5_save(path, &what, NULL);
done:
    thaw_state_clear(&attributes);
    return status;
}
