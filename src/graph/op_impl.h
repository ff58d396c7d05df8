/* graph/op_impl.h - what an operator kind is: a table of functions without state.
 *
 * A kind is one file. What a node needs in one plan (thaw_need) is settled when the plan is made; a thaw_call adds the
 * pointers of one run. Arrays are dense with the batch first; `+=` in a comment means: adds into the array. */
#ifndef THAW_GRAPH_OP_IMPL_H
#define THAW_GRAPH_OP_IMPL_H

#include "graph/graph_impl.h"

/* A parameter that a node of this kind owns: `name`.`suffix`. */
typedef struct thaw_param_spec {
    const char *suffix;
    thaw_shape shape;
    thaw_role role;
    thaw_init init;
    int64_t fan_in, fan_out;
} thaw_param_spec;

/* One node in one plan. */
typedef struct thaw_need {
    const thaw_node *node;
    int64_t B; /* most samples in one run */
    thaw_shape in[THAW_MAX_INPUTS], out;
    int32_t block_in[THAW_MAX_INPUTS], block_out; /* layouts, 1: plain */
    int64_t in_count[THAW_MAX_INPUTS], out_count; /* elements of one sample in memory */
    thaw_form form_in[THAW_MAX_INPUTS], form_out;
    float scale_in[THAW_MAX_INPUTS], scale_out; /* of bytes */
    bool active;                                /* takes part in backward */
    bool batch_statistics;                      /* a norm that trains, in a plan for training */
    bool meets;                   /* its statistics are those of all runs that go abreast */
    bool dx[THAW_MAX_INPUTS];     /* gradient wanted */
    bool dparam[THAW_MAX_PARAMS]; /* gradient wanted; for buffers: statistic wanted */
    bool frozen[THAW_MAX_PARAMS]; /* never changes while the plan lives */
} thaw_need;

/* What must still be there in backward. */
typedef struct thaw_keep {
    bool input, output; /* input: all of them */
    bool first_input;   /* only this one */
    bool last_input;
    size_t saved_bytes; /* private to the node, written by forward */
} thaw_keep;

/* One run of one node. */
typedef struct thaw_call {
    const thaw_need *need;
    const thaw_kern *kern;
    const thaw_run *run;
    const float *x[THAW_MAX_INPUTS]; /* (B, in); in backward only where keep said so */
    float *y;                        /* (B, out); may be x[0] where the kind says in_place */
    const float *param[THAW_MAX_PARAMS];
    float *dparam
        [THAW_MAX_PARAMS]; /* +=; a buffer's: forward writes B * statistic; NULL: not wanted */
    float *dy;             /* (B, out); backward may write over it */
    float *dx
        [THAW_MAX_INPUTS]; /* (B, in); NULL: not wanted; one of them may be dy where the kind says in_place */
    bool accumulate[THAW_MAX_INPUTS]; /* dx += instead of dx = */
    void *saved, *workspace;
    void *object;          /* what prepare made */
    const void *constants; /* what fill wrote */
    const double *brought,
        *met; /* this run's row, and what join made of all; NULL: a replay, which finds it in `saved` */
} thaw_call;

/* Which layouts a kind takes. */
typedef enum thaw_layouts {
    THAW_LAYOUTS_PLAIN, /* none but plain */
    THAW_LAYOUTS_SAME,  /* channel blocks, one layout for all inputs and the output */
    THAW_LAYOUTS_INPUT, /* channel blocks in, plain out */
    THAW_LAYOUTS_ASK    /* `fits` says */
} thaw_layouts;

struct thaw_op {
    const char *kind;
    int32_t input_count;
    int32_t optional_inputs; /* so many of the last ones may be THAW_NO_VALUE */
    bool
        in_place; /* y may take x's memory, and dx that of dy (a norm: not with batch statistics) */
    bool view;    /* y is x under another shape: forward is not called */
    thaw_act act; /* this kind is that function, so that a producer may apply it */
    thaw_layouts layouts;
    bool (*fits)(const thaw_kern *kern, const thaw_need *need); /* with need's layouts */
    /* Checks attributes and inputs; *out gets the output's shape. The caller puts the node's name in front of the message. */
    thaw_status (*shape)(const thaw_node *node, const thaw_shape *in, thaw_shape *out);
    /* Fills specs and returns how many; NULL: none. Called after shape has agreed. */
    int32_t (*params)(const thaw_node *node, const thaw_shape *in,
                      thaw_param_spec specs[THAW_MAX_PARAMS]);
    /* Forward, one sample, multiply-add counted as 2. */
    double (*flops)(const thaw_node *node, const thaw_shape *in, const thaw_shape *out);
    thaw_keep (*keep)(const thaw_need *need); /* NULL: nothing */
    /* What a node of a plan owns beside memory of the arena, made once; NULL: nothing. The call has no run and no buffers. */
    thaw_status (*prepare)(const thaw_call *call, void **object);
    void (*release)(void **object);
    const char *(*algorithm)(const void *object); /* of forward; NULL: there is one only */
    size_t (*workspace)(const thaw_need *need, const void *object, bool backward); /* bytes */
    /* Forms of frozen parameters, written once before the first run: bytes, and the writer. NULL: none. scratch: as large as the
     * first parameter. */
    size_t (*constant_bytes)(const thaw_need *need, const void *object);
    thaw_status (*fill)(const thaw_call *call, void *constants, float *scratch);
    bool (*is_random)(const thaw_node *node); /* draws in training; NULL: never */
    /* An input that is tokens and not a quantity: ids must be below this (INT64_MAX: any). 0: a quantity. NULL: all are. */
    int64_t (*ids_below)(const thaw_node *node, int32_t input);
    /* A kind that may meet: before forward, and before backward, each run brings a row of so many doubles (0: this node brings none), and
     * join makes one row of all, in their order. The row of a run without samples is zero. */
    int64_t (*row)(const thaw_need *need, bool backward);
    void (*bring)(const thaw_call *call, bool backward, double *row);
    void (*join)(const thaw_need *need, bool backward, int64_t count, const double *rows,
                 double *out);
    void (*forward)(const thaw_call *call);
    void (*backward)(const thaw_call *call);
    /* A kind with kinks, for gradient checks; NULL: smooth. After a forward, take_branches copies which side every element
     * took; forward_on runs forward on those same sides: the smooth function whose derivative backward gives. */
    size_t (*branch_bytes)(const thaw_need *need);
    void (*take_branches)(const thaw_call *call, void *branches);
    void (*forward_on)(const thaw_call *call, const void *branches);
};

#define THAW_KIND(kind, doc) extern const thaw_op thaw_op_##kind;
#include "graph/kinds.def"
#undef THAW_KIND

/* The kind's line in kinds.def, NULL when there is no such kind. */
const thaw_op *thaw_op_find(const char *kind);

/* A node without parameters in backward: dx = or += alpha * dy, dx may be dy. */
void thaw_pass_gradient(int64_t n, float alpha, const float *dy, float *dx, bool accumulate);
/* An input that has no gradient (tokens): zero, where one is asked for. */
void thaw_no_gradient(const thaw_call *call, int32_t input);
/* Values are moved, not computed. */
double thaw_flops_none(const thaw_node *node, const thaw_shape *in, const thaw_shape *out);
/* One FLOP an output element. */
double thaw_flops_elementwise(const thaw_node *node, const thaw_shape *in, const thaw_shape *out);
/* The first input of a kind that treats features alike: (C, H, W) as it lies, (.., D) as rows of D channels. */
thaw_image thaw_feature_image(const thaw_call *call);
int64_t thaw_feature_count(const thaw_shape *shape); /* C or D */
/* THAW_ERR_FAIL unless the input is (C, H, W). */
THAW_NODISCARD thaw_status thaw_check_image(const thaw_shape *in);

/* Adds a node of this kind; `attributes` carries attr only. -1 after an error, which the graph keeps. */
thaw_value thaw_build(thaw_graph *g, const thaw_op *op, const char *name,
                      const thaw_node *attributes, const thaw_value *inputs);

#endif
