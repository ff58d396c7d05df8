#ifndef THAW_DATA_AUGMENT_IMPL_H
#define THAW_DATA_AUGMENT_IMPL_H

#include "thaw/data.h"

/* Random resized crop of one picture (C, H, W) in place, where it is switched on; scratch H*W. It draws from a stream of its own, so that
 * what others draw stays the same. Source: Szegedy et al. 2015, arXiv:1409.4842, as torchvision's RandomResizedCrop draws it. */
void thaw_augment_resized_crop(const thaw_augment *augment, uint64_t seed, uint32_t epoch,
                               int64_t index, const thaw_shape *sample, float *picture,
                               float *scratch);

#endif
