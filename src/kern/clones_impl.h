/* clones_impl.h - one function compiled for several kinds of CPU; the loader picks, so that a build runs anywhere. */
#ifndef KERN_CLONES_IMPL_H
#define KERN_CLONES_IMPL_H

/* Not under sanitizers: their start-up code and the loader's choice get in each other's way. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__)
#define KERN_CLONES __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define KERN_CLONES
#endif

#endif
