#ifndef THAW_DATA_AUGMENT_IMPL_H
#define THAW_DATA_AUGMENT_IMPL_H

#include "thaw/data.h"

/* Random resized crop of one picture (C, H, W) in place, where it is switched on; scratch H*W. It draws from a stream of its own, so that
 * what others draw stays the same. Source: Szegedy et al. 2015, arXiv:1409.4842, as torchvision's RandomResizedCrop draws it. */
void thaw_augment_resized_crop(const thaw_augment *augment, uint64_t seed, uint32_t epoch,
                               int64_t index, const thaw_shape *sample, float *picture,
                               float *scratch);
/* a->rand_ops operations of RandAugment on one picture (C, H, W) of C 1 or 3 in place, rounded to levels first; scratch H*W. A stream of
 * its own too; each operation takes two draws, whichever it is. */
void thaw_augment_rand(const thaw_augment *augment, uint64_t seed, uint32_t epoch, int64_t index,
                       const thaw_shape *sample, const thaw_levels *levels, float *picture,
                       float *scratch);

#endif
