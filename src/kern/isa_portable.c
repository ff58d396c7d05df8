/* isa_portable.c - the inner loops for any CPU: vectors of 4 floats, which every 64-bit machine has in some form. */
#define LANES 4
#if defined(__aarch64__)
#define MANY_REGISTERS 1
#else
#define MANY_REGISTERS 0
#endif
#include "kern/isa_body_impl.h"

const kern_isa kern_isa_portable = ISA_TABLE("portable");
