/* native.c - the backend that needs no library: our own tiles for everything. */
#include "thaw/kern.h"

#include "kern/kern_impl.h"

thaw_status kern_native_open(thaw_kern *k)
{
    kern_handle *handle = NULL;
    THAW_TRY(thaw_alloc(&handle, 1, sizeof *handle));
    kern_tiled_fill(k, handle);
    (void)thaw_copy(k->cpu_kernels, sizeof k->cpu_kernels, kern_isa_of(k)->name);
    return THAW_OK;
}

void kern_native_close(thaw_kern *k)
{
    thaw_free(&k->library);
}
