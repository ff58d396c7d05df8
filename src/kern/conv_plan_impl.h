/* conv_plan_impl.h - shared by planned convolutions: algorithms, and one pass of a convolution by one of them. */
#ifndef KERN_CONV_PLAN_IMPL_H
#define KERN_CONV_PLAN_IMPL_H

#include "kern/kern_impl.h"

/* The arrays of one run; which ones count depends on the pass. */
typedef struct conv_run {
    int64_t B;
    const float *x, *dy;
    const float *w; /* packed, or as they are */
    const float *bias;
    float *y, *dx, *dw;
    bool accumulate; /* dx */
    char *workspace;
} conv_run;

typedef struct conv_algorithm conv_algorithm;

/* One pass of one planned convolution. */
typedef struct conv_unit {
    const conv_algorithm *algorithm;
    const thaw_kern *kern;
    thaw_conv_spec spec;
    thaw_conv_pass pass;
    size_t packed_bytes, workspace_bytes; /* set by open */
    void *state;                          /* the algorithm's own */
} conv_unit;

struct conv_algorithm {
    const char *name;     /* one word: it stands in files of choices */
    bool inside_reorders; /* works by reordering: thaw_conv_fits does not count it */
    /* Whether it can do the pass of this spec in these layouts. */
    bool (*fits)(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass);
    /* The fixed rule takes the first algorithm that fits and prefers the spec, else the first that fits. NULL: never. */
    bool (*prefers)(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass);
    /* Called with everything but sizes and state set. On failure nothing is held. */
    thaw_status (*open)(conv_unit *unit);
    void (*close)(conv_unit *unit); /* NULL: nothing is held */
    void (*pack)(const conv_unit *unit, const float *w, float *packed);
    void (*run)(conv_unit *unit, const conv_run *run); /* B > 0 */
};

struct thaw_conv {
    conv_unit units[THAW_CONV_PASSES]; /* algorithm NULL: not wanted */
};

/* Our functions of the backend's table with all else around them; for plain layouts. */
extern const conv_algorithm conv_plain;
/* The same with blocked arrays turned before and after. */
extern const conv_algorithm conv_reordered;
extern const conv_algorithm conv_winograd_blocks;
extern const conv_algorithm conv_depthwise;
extern const conv_algorithm conv_taps;
/* NULL-ended. */
extern const conv_algorithm *const kern_onednn_algorithms[];
extern const struct conv_int8_library kern_onednn_int8;

thaw_status conv_unit_open(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                           const conv_algorithm *algorithm, conv_unit *unit);
void conv_unit_close(conv_unit *unit);

/* What each pass reads and writes. */
thaw_image conv_input_image(const thaw_conv_spec *spec);  /* x, dx */
thaw_image conv_output_image(const thaw_conv_spec *spec); /* y, dy */
int64_t conv_weight_count(const thaw_conv2d *shape);

/* ---- Choices ---- */

enum { CONV_KEY_BYTES = 256 };
typedef struct conv_choice {
    char key[CONV_KEY_BYTES];
    const conv_algorithm *algorithm;
    bool measured;
} conv_choice;

struct conv_choices {
    bool measure;
    conv_choice *items; /* sorted by key */
    int64_t count, capacity;
};

/* Its weights change at every step: they are packed anew for each run, and the batch is a shard's, always of one size. */
static inline bool conv_trains(const thaw_conv_spec *spec)
{
    return spec->wanted[THAW_CONV_BACKWARD_WEIGHTS];
}

void conv_key(const thaw_conv_spec *spec, thaw_conv_pass pass, char key[CONV_KEY_BYTES]);
/* NULL: not known. */
const conv_choice *conv_choice_find(const struct conv_choices *choices, const char *key);
thaw_status conv_choice_set(struct conv_choices *choices, const char *key,
                            const conv_algorithm *algorithm, bool measured);
void conv_choices_free(struct conv_choices **choices);
/* The text of all choices, or of the measured ones. */
void conv_choices_text(const thaw_kern *k, bool measured_only, thaw_str *out);

/* The fastest of the algorithms that fit, by a bounded trial; `preferred` stays unless another is clearly faster. */
thaw_status conv_trial(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass,
                       const conv_algorithm *preferred, const conv_algorithm **out);

#endif
