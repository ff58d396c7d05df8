/* clones_impl.h - one function compiled for several kinds of CPU; the loader picks, so that a build runs anywhere. */
#ifndef KERN_CLONES_IMPL_H
#define KERN_CLONES_IMPL_H

/* By feature level, not by a CPU's name: a name means that exact model, and a newer one would get the slowest variant.
 * Not under sanitizers: their start-up code and the loader's choice get in each other's way. */
#if !defined(__x86_64__) || !defined(__gnu_linux__) || defined(__SANITIZE_ADDRESS__)
#define KERN_CLONES
#elif !defined(__clang__) && __GNUC__ >= 12
#define KERN_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERN_CLONES
#endif

#endif
