/* What a backbone file calls its parts, and what makes a backbone sound. */
#ifndef THAW_STORE_BACKBONE_IMPL_H
#define THAW_STORE_BACKBONE_IMPL_H

#include "thaw/store.h"

#define THAW_BACKBONE_FORMAT "thaw-backbone"

/* `code` is whose fault it is: THAW_ERR_FAIL before writing, THAW_ERR_INPUT after reading. */
THAW_NODISCARD thaw_status thaw_backbone_check(const thaw_backbone *b, const char *path,
                                               thaw_status code);

#endif
