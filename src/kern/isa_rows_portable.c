/* isa_rows_portable.c - sweeps over rows for any CPU: vectors of 4 floats. */
#define LANES 4
#include "kern/rows_body_impl.h"

const kern_rows kern_rows_portable = ROWS_TABLE("portable");
