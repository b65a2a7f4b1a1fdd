/* The kernel IR: what one fused group computes, as loops, accesses and small expression trees,
 * still free of any machine. A kernel is one of these forms, each with its generator in
 * compiler/codegen:
 *
 *   REDUCE    out[i…] = results(combine over the reduce axes of a[…] * b[…]) - convolution, linear,
 *             their gradients, pooling, sums; without reduce axes it is a pointwise map
 *   ROWS      statements along the channels, row by row - softmax, losses, local normalization
 *   SCATTER   each window spreads its gradient over the elements it covered - pooling's gradients
 *   WINOGRAD  convolution by minimal filtering; the transform of its weights; their gradient; the
 *             same along rows alone, for batch-blocked pictures
 *   LINEAR    a batch times weights too large for the caches
 *   BLAS      a large batch times weights, by OpenBLAS
 *   RELAYOUT  plain to blocked memory and back
 *   COPY      runs of memory from one tensor into another
 *   TURN      a convolution's weights as those of its gradient
 *   WEIGHTS   the gradient of a convolution's weights, from channel-blocked pictures
 *   PROBE     what the machine can do at best: `cvmc bench` measures against it
 *
 * A kernel's text (cvm_kernel_print) says everything that code generation looks at, so equal texts
 * share one compiled function, and the text is the key of the object cache. */
#ifndef CVM_KERNELS_KERNEL_H
#define CVM_KERNELS_KERNEL_H

#include "compiler/graph/graph.h"

enum {
    CVM_MAX_AXES = 10,
    CVM_MAX_BUFFERS = 20,
    CVM_MAX_RESULTS = 8,
    CVM_MAX_WINDOWS = 2,
    CVM_MAX_POOLED_WINDOWS = 512, /* side by side in a row that a REDUCE pools, on the stack */
    CVM_COPY_PIECE = 8192,        /* elements that a COPY's work item has at most */
    CVM_MAX_STATEMENTS = 16,
    CVM_MAX_ROW_ELEMENTS = 65536, /* of a ROWS kernel: row values are kept on the stack */
};

/* A loop. Output axes index the result, reduce axes are combined away. */
typedef struct CvmAxis {
    const char *name;
    int64_t extent;
    bool reduce;
} CvmAxis;

/* Groups of channels that share vectors. Of channel-blocked pictures, counted from the first of a
 * run of groups (cvm_conv_run) on, output channel o belongs to group g = o / outputs, and what it
 * reads are channels g inputs, g inputs + 1, … So the lanes of a vector of outputs read inputs of
 * several groups: lanes of one or more vectors, spread by shuffles, or single elements. */
typedef struct CvmMix {
    int64_t inputs, outputs; /* of a group; inputs 0: groups share no vectors */
    int64_t lanes, block;    /* of the pictures that are read: channels in a block, elements from
                                one block to the next */
} CvmMix;

/* A tensor the kernel reads or writes, as strides (in elements) along the axes. An axis that a
 * window maps has stride 0 here and acts through the window. */
typedef struct CvmKernelBuffer {
    const CvmNode *value; /* NULL: scratch memory of the thread's own */
    CvmDtype dtype;
    bool written;
    bool
        beside; /* the side sum's alone: strides[0] is 1 where there is a number for each channel */
    bool pooled; /* strides are of windows along the axes that the kernel's pooling combines */
    int64_t strides[CVM_MAX_AXES];
} CvmKernelBuffer;

/* What a kernel looks up by a window's position instead of computing it. */
typedef struct CvmWindowTable {
    int64_t count;               /* positions */
    const float *shares;         /* 1 / how many values the window's mean is taken over */
    const int64_t *first, *last; /* its first index, and the one behind its last; NULL: affine */
} CvmWindowTable;

/* How a position axis and a tap axis together index a spatial dimension of buffer `a`:
 *   t = position * position_scale + tap * tap_scale + offset,  index = t / divisor
 * A (position, tap) pair counts only where divisor divides t and 0 <= index < extent; elsewhere it
 * lies in the padding (or between the strides of a transposed convolution) and is left out. A
 * window with a table has index = first[position] + tap instead, and counts below last[position].
 */
typedef struct CvmWindow {
    int position, tap; /* axes */
    int64_t position_scale, tap_scale, offset, divisor, extent;
    int64_t stride;              /* elements of buffer `a` between neighbouring indices */
    const CvmWindowTable *table; /* with bounds; NULL: affine */
} CvmWindow;

typedef enum CvmExprKind {
    CVM_EXPR_CONSTANT,    /* value */
    CVM_EXPR_ACCUMULATOR, /* what the reduction, or a pooling behind it, gave (SCATTER: the gradient
                             of this element) */
    CVM_EXPR_PLACE,   /* which of the elements combined was the first largest: REDUCE with MAXIMUM
                         counts in the order of the reduce axes, a pooling row by row */
    CVM_EXPR_LOAD,    /* buffer `index` at the result's coordinates */
    CVM_EXPR_UNIFORM, /* REDUCE: a random number in [0, 1) for the result's element: buffer `index`
                         holds seed and step, i32 [4], `stream` tells layers apart */
    CVM_EXPR_SHARE,   /* REDUCE: of table `index`, at its window's position */
    CVM_EXPR_ROW_SCALAR, /* ROWS: result of statement `index`, one number for the row */
    CVM_EXPR_ROW_VALUE,  /* ROWS: result of statement `index`, one number per column */
    CVM_EXPR_WINDOW_SUM, /* ROWS: the sum of row value `index` over the columns at most `reach` away
                          */
    CVM_EXPR_IS_TARGET,  /* ROWS: 1 where the column is buffer `index`'s entry for this row, else 0
                          */
    CVM_EXPR_ADD,
    CVM_EXPR_SUBTRACT,
    CVM_EXPR_MULTIPLY,
    CVM_EXPR_DIVIDE,
    CVM_EXPR_MAXIMUM,
    CVM_EXPR_EXP,
    CVM_EXPR_LOG,
    CVM_EXPR_TANH,
    CVM_EXPR_SIGMOID,
    CVM_EXPR_ERF,
    CVM_EXPR_SQRT,
    CVM_EXPR_INVERSE_FOURTH_ROOT, /* a^(-1/4), a > 0 */
    CVM_EXPR_WHERE_POSITIVE,      /* b where a > 0, else c */
} CvmExprKind;

typedef struct CvmExpr {
    CvmExprKind kind;
    double value;
    int index;
    int64_t stream; /* UNIFORM */
    int64_t reach;  /* WINDOW_SUM */
    const struct CvmExpr *a, *b, *c;
} CvmExpr;

/* A stored value. */
typedef struct CvmResult {
    int buffer;
    const CvmExpr *value;
} CvmResult;

typedef enum CvmCombine {
    CVM_COMBINE_NONE,     /* a map: nothing is reduced */
    CVM_COMBINE_PRODUCTS, /* sum of a * b */
    CVM_COMBINE_SUM,
    CVM_COMBINE_MAXIMUM,
} CvmCombine;

typedef enum CvmStatementKind {
    CVM_STATEMENT_MAXIMUM, /* of the expression over the row: a row scalar */
    CVM_STATEMENT_SUM,     /* the same with a sum */
    CVM_STATEMENT_VALUE,   /* the expression per column: a row value, stored when buffer >= 0 */
    CVM_STATEMENT_STORE,   /* a row-scalar expression stored to a [n] buffer */
} CvmStatementKind;

typedef struct CvmStatement {
    CvmStatementKind kind;
    const CvmExpr *value;
    int buffer; /* -1: kept for later statements only */
} CvmStatement;

/* Where the vectors of a ROWS kernel lie (schedule.h). */
typedef enum CvmRowVectors {
    CVM_ROWS_ALONG,  /* along a row's columns; the last one may be masked */
    CVM_ROWS_ACROSS, /* across neighbouring rows */
    CVM_ROWS_BLOCKS, /* along a row's columns, which lie in blocks of `lanes` */
} CvmRowVectors;

/* REDUCE: values are combined once more before they are stored, over windows of `sizes` neighbours
 * along two output axes, whose extents hold whole windows only. */
typedef struct CvmPooling {
    CvmCombine combine; /* MAXIMUM or SUM; NONE: there is no pooling */
    int axes[2];
    int64_t sizes[2];
    const CvmExpr *value; /* what is combined, in terms of what the reduction gave; the results are
                             in terms of what the pooling gave */
} CvmPooling;

/* A sum that a contraction makes beside its own results, of one of the tensors that it reads: over
 * everything but the channels, as the gradient of a bias is. */
typedef struct CvmSideSum {
    int buffer;         /* what is summed; -1: there is no such sum */
    bool across;        /* neighbours in memory are channels, else elements of one channel */
    int64_t blocks;     /* of pictures … */
    int64_t block_step; /* … and how far they are apart */
    int64_t run;        /* elements of a channel in a block; across: vectors of channels */
    int64_t channel_step;
    int64_t steps[CVM_MAX_AXES]; /* REDUCE: what a step along an axis adds to the channel. Work
                                    items that begin all other output axes make the sum */
    CvmResult results[CVM_MAX_RESULTS]; /* in terms of it */
    int result_count;
} CvmSideSum;

/* How a REDUCE kernel's loops are cut; see schedule.h. */
typedef struct CvmSchedule {
    int lanes;                  /* of the vectors */
    int vector_axis;            /* whose neighbours fill a vector's lanes; -1: scalar code */
    int64_t tile[CVM_MAX_AXES]; /* output axes: how many units (vectors along vector_axis, else
                                   elements) are computed together in registers */
    int slide;                  /* window whose taps are unrolled and positions blocked; -1: none */
    int64_t slide_step; /* when the slide's position is a reduce axis: positions per block */
    bool broadcast; /* vectors of b meet single elements of a (of each group, where several share
                       a vector), which are read anew for every tap: registers hold sums, not
                       what taps could share */
    int unrolled;   /* reduce axis unrolled inside of the taps; -1: none */
    int first;      /* output axis along which neighbouring work items go first, before the last
                       one; -1: none */
    int64_t strip;  /* columns (of vector_axis) of a work item that walks over a large matrix b in
                       chunks of rows (emit_strips.c); 0: sums stay in registers to their end */
    int64_t strip_rows; /* rows in a chunk */
    int strip_scratch;  /* buffer of the item, see emit_strips.c */
    int64_t ahead; /* elements along the vectors' axis by which what results are made of is fetched
                      from memory ahead; 0: it is not */
    const char *reason; /* for `cvmc explain --kernels` */
} CvmSchedule;

typedef enum CvmKernelForm {
    CVM_KERNEL_REDUCE,
    CVM_KERNEL_ROWS,
    CVM_KERNEL_SCATTER,
    CVM_KERNEL_WINOGRAD,
    CVM_KERNEL_WINOGRAD_WEIGHT,
    CVM_KERNEL_WINOGRAD_GRAD,
    CVM_KERNEL_WINOGRAD_ROWS,
    CVM_KERNEL_WINOGRAD_ROWS_GRAD,
    CVM_KERNEL_LINEAR,
    CVM_KERNEL_BLAS,
    CVM_KERNEL_RELAYOUT,
    CVM_KERNEL_COPY,
    CVM_KERNEL_TURN,
    CVM_KERNEL_WEIGHTS,
    CVM_KERNEL_PROBE,
} CvmKernelForm;

/* SCATTER: planes of [height, width] lying `lanes` apart per element (1: plain). */
typedef struct CvmScatter {
    bool maximum;   /* gradient to the element that the index names; else shared equally */
    int64_t planes; /* n/lanes * c */
    int64_t lanes;
    int64_t kernel[2], stride[2], pad[2];
    int64_t input[2], output[2]; /* height and width of x and dx, of dy */
    int gradient, index;         /* buffers: dy; index (maximum only, else -1) */
} CvmScatter;

/* LINEAR: x [batch, inputs] in buffer `a`, weights [features, inputs] in `b`, either f32 or bf16. A
 * work item has `block` features of `pictures` pictures and walks the inputs in chunks; of
 * `together` pictures a chunk of x stays in the nearest cache. schedule_linear.c chooses how it is
 * cut. BLAS, of f32 alone: the same without tiles, with sums [batch][block] in the scratch memory.
 */
typedef struct CvmLinear {
    int64_t batch, inputs, features;
    int scratch; /* buffer: a chunk of x [together][chunk], then sums [pictures][block][lanes] */
    int64_t tile_pictures, tile_features, pictures, block, together, chunk;
    int64_t ahead; /* tiles of features whose weights are on their way while one is multiplied */
    bool dots; /* pairs of bf16 meet in one instruction */
} CvmLinear;

/* WINOGRAD: out of tile x tile results each, numbered through all pictures, `group` are multiplied
 * together in registers, and a work item is `groups` such groups, for one of `parts` equal pieces
 * of the output channels; it transforms filters for `chunk` input channels at a time.
 * WINOGRAD_WEIGHT uses tile, taps, inputs, outputs, step and lanes. */
typedef struct CvmWinograd {
    int64_t tile, taps; /* m and r of ops/winograd.h */
    int64_t pictures, channel_groups;
    int64_t inputs, outputs;     /* channels: of a group of channels, of all of them */
    int64_t step, lanes;         /* output channels side by side in the weights; in a vector */
    int64_t input[2], output[2]; /* height and width */
    int64_t pad[2];              /* above and at the left */
    int scratch;     /* buffer: transformed inputs, then sums, then weights, of the work item */
    bool transforms; /* b holds filters, whose transform is the work item's too */
    /* schedule_winograd.c chooses them; together: steps of a turn, see codegen/emit_winograd.c */
    int64_t group, groups, parts, chunk, together;
} CvmWinograd;

/* WINOGRAD_GRAD: the gradient of taps x taps filters, from tiles of tile x tile pixels of dy,
 * numbered through all pictures, `block` of which are transformed together. A work item has some of
 * a group's input and output channels; `step` of the latter lie side by side. Buffers: 0 in, 1 dy.
 */
typedef struct CvmWinogradGrad {
    int64_t tile, taps;
    int64_t pictures, groups, inputs, outputs, lanes; /* inputs, outputs: channels of a group */
    int64_t input[2], output[2], pad[2]; /* height and width of in and dy; above, at the left */
    int scratch; /* buffer: transformed inputs, transformed dy, then sums, of the work item */
    /* Results are on filters: buffers of tensors have strides[0] 1, of scalars 0. */
    /* schedule_winograd_grad.c chooses them; channels: inputs whose sums are in registers together,
     * at most; row: a whole number of such and of vectors */
    int64_t item_inputs, item_outputs, step, block, channels, row;
} CvmWinogradGrad;

/* WINOGRAD_ROWS: out of tiles of rows of batch-blocked pictures, from `input` to `output` [height,
 * width] forward, or back from the gradient of the latter to that of the former's pictures: then
 * `input` is what is read too, the given gradient. A work item is a block of `lanes` pictures.
 * WINOGRAD_ROWS_GRAD: the gradient of the filters, out of x [inputs, input] in buffer 0 and dy
 * [outputs, output] in buffer 1; a work item has some of the output channels. */
typedef struct CvmWinogradRows {
    int64_t tile, taps;      /* m and r of ops/winograd.h: dy's and the filter's columns */
    int64_t kernel;          /* rows of a filter */
    int64_t blocks, lanes;   /* of pictures */
    int64_t inputs, outputs; /* channels: that are read, of the result */
    int64_t input[2], output[2], pad[2]; /* height, width; above and at the left of the picture */
    bool back;
    bool padded; /* rows outside of the picture are stored, as zeros: sums need not look where they
                    are */
    int scratch; /* buffer: see codegen/emit_winograd_rows.c, codegen/emit_winograd_rows_grad.c */
    /* schedule_winograd_rows.c chooses them, and padded. tiles, channels: of a row, or where it is
     * padded of a band, and of the result (GRAD:
     * rows of the filter and output channels) whose sums are in registers together. band: rows that
     * are summed (GRAD: rows of dy that are transformed) at once; chunk: for so many, what is read
     * (GRAD: x) is transformed. item_outputs: GRAD's channels of a work item. */
    int64_t tiles, channels, band, chunk, item_outputs;
} CvmWinogradRows;

/* PROBE: every work item writes one vector to buffer 1. Its loop has CVM_PROBE_SUMS independent
 * vectors, enough to keep two units busy whose results take up to six cycles. */
enum { CVM_PROBE_SUMS = 12 };

typedef struct CvmProbe {
    bool reads;     /* sums up `length` floats of buffer 0, one stretch an item; else multiplies and
                       adds in registers */
    int64_t length; /* rounds of the item's loop, or floats that it reads */
} CvmProbe;
/* COPY: a run of `length` elements for each row, between buffers whose rows lie so far apart and
 * whose runs begin so far in. */
typedef struct CvmCopy {
    int from, to; /* buffers */
    int64_t rows, length;
    int64_t from_step, from_offset, to_step, to_offset;
} CvmCopy;

/* TURN: [groups][outputs][inputs][taps] of buffer 0 to [groups][inputs][outputs][taps in reverse]
 * of buffer 1. Each is an element, or in filters `vectors` vectors of so many lanes: a square block
 * of inputs and outputs, which is transposed, or a single vector. */
typedef struct CvmTurn {
    int64_t groups, inputs, outputs, taps;
    int64_t lanes, vectors; /* 1, 1: elements */
} CvmTurn;

/* WEIGHTS: out[g, o, i, p, q] = sum over pictures n and result pixels (y, x) of
 *   dy[n, g, o, y, x] * in[n, g, i, y stride + p dilation - pad, x stride + q dilation - pad]
 * with `lanes` outputs o side by side in a vector. Buffers: 0 in, 1 dy, 2 out, which is a filter:
 * [g][o / lanes][i / run][taps][run][lanes]. Where groups share vectors, g counts runs of them.
 *
 * Sums stay in registers while a chunk of rows is walked over, and in the result's memory between
 * chunks, so that each pixel is fetched once for all the weights of a work item that it meets. */
typedef struct CvmWeightGrad {
    int64_t pictures, groups, inputs, outputs;         /* of a group; outputs counts vectors */
    int64_t run;                                       /* inputs in a block of the filter */
    CvmMix mix;                                        /* of groups that share vectors */
    int64_t kernel[2], stride[2], pad[2], dilation[2]; /* pad: before the first row and column */
    int64_t in_size[2], size[2];                       /* of in, of dy: height, width */
    int64_t left, right;                               /* see cvm_conv_edges */
    /* elements of `in` between neighbouring pictures, groups, blocks of inputs, inputs of a block,
     * rows, columns */
    int64_t in_picture, in_group, in_block, in_inside, in_row, in_column;
    /* Whether something follows from the filter: buffer 2 is scratch memory then, for an item's
     * sums, and results are made of them behind the last. Buffers of results have strides[0] 1,
     * scalars 0. unpacks: results are on plain weights, and an item's sums stand in the plain order
     * of inputs and taps. */
    bool applies, unpacks;
    /* the schedule: a tile of output vectors, inputs and taps of a row has its sums in registers,
     * where there are few of them in several copies that take turns along a row; rows of dy in a
     * chunk; tiles of outputs in a work item, and parts that the blocks of inputs are split into
     * for work items */
    int64_t tile_outputs, tile_inputs, tile_taps, copies, chunk_rows, item_tiles, parts;
} CvmWeightGrad;

/* RELAYOUT: [rows][inner] to [rows/lanes][inner][lanes], or back. In blocked memory element
 * (c taps + t) of the inner ones stands at ((c / run) taps + t) run + c % run: channels in runs
 * behind the taps. With one tap that changes nothing. */
typedef struct CvmRelayout {
    int64_t rows, inner, lanes, taps, run;
    bool to_plain;
} CvmRelayout;

typedef struct CvmKernel {
    CvmKernelForm form;
    char symbol[64];   /* name of the compiled function: the layer's kind and a hash of the text */
    const char *layer; /* whose work it is, for people */
    CvmNode *const *nodes; /* what it computes: a group, in order, or one node */
    int node_count;
    const CvmOrigin *place; /* for line information; NULL: it gets none */

    CvmKernelBuffer buffers[CVM_MAX_BUFFERS];
    int buffer_count;

    /* REDUCE; of WINOGRAD, LINEAR and BLAS the axes of the result, for what their epilogues read */
    CvmAxis axes[CVM_MAX_AXES];
    int axis_count;
    CvmWindow windows[CVM_MAX_WINDOWS];
    int window_count;
    CvmCombine combine;
    int a, b;            /* buffers combined; -1: absent */
    const CvmExpr *term; /* SUM: what is summed, in terms of loads of a, b and of buffers that stand
                            still along the reduce axes; NULL: a itself */
    /* PRODUCTS whose vectors of results belong to several groups: of a, a lane reads the channel of
     * its own group whose number axis `input` tells, in steps of `step`, and the last axis, where
     * step is more than 1. Axis `output` counts the run's vectors of outputs. */
    CvmMix mix;
    struct {
        int output, input;
        int64_t step;
    } mixed;
    /* PRODUCTS whose vectors hold partial sums: `fold` vectors, along axis `folded` (which adds up
     * nothing itself), are one vector of results, each the sum of `fold` neighbours; 0: none are.
     */
    int64_t fold;
    int folded;
    CvmPooling pooling;
    CvmSchedule schedule;
    /* what a step along each axis adds to the element's place in the plain order; only where random
     * numbers are drawn for elements */
    int64_t element_strides[CVM_MAX_AXES];

    /* REDUCE, SCATTER, WINOGRAD, LINEAR */
    CvmResult results[CVM_MAX_RESULTS];
    int result_count;
    CvmSideSum side;                               /* REDUCE, WEIGHTS */
    const CvmWindowTable *tables[CVM_MAX_WINDOWS]; /* of height, width; NULL: not needed */

    /* ROWS: one row for each position of each picture; vectors [n, c] are pictures of one position,
     * and a batch-blocked block of pictures is one of `lanes` times as many. Buffers have strides
     * along pictures, columns and positions; where columns lie in blocks, the stride is a lanes-th
     * of that between blocks. */
    int64_t pictures, positions, columns;
    int64_t block; /* columns in a block; 0: they do not lie in blocks */
    CvmRowVectors vectors;
    int64_t strip; /* rows of a picture that a work item has */
    CvmStatement statements[CVM_MAX_STATEMENTS];
    int statement_count;

    CvmScatter scatter;
    CvmWinograd winograd;
    CvmWinogradGrad winograd_grad;
    CvmWinogradRows winograd_rows;
    CvmLinear linear;
    CvmProbe probe;

    CvmCopy copies[CVM_MAX_BUFFERS];
    int copy_count;

    CvmRelayout relayout;
    CvmTurn turn;
    CvmWeightGrad weights;

    int64_t extent;        /* work items of the compiled function */
    int64_t scratch_bytes; /* of its scratch buffer, for each thread; 0: it has none */
    double flops, bytes;   /* of the whole call */
    const char *question;  /* what it asked the tuning about its cut; NULL: nothing */
    const char *measured; /* why it is cut like that, where that was measured; NULL: by the model */
} CvmKernel;

/* Work items that a row of the copy is cut into. */
int64_t cvm_copy_pieces(const CvmCopy *copy);

/* Whether a result says where the largest element is. */
bool cvm_kernel_has_place(const CvmKernel *kernel);

/* Whether windows share elements or reach into the padding: then elements are added to in turn and
 * no epilogue can be applied on the way. */
bool cvm_scatter_overlaps(const CvmScatter *scatter);

/* Writes the kernel's canonical text: all that its code depends on, and nothing else. */
void cvm_kernel_print(const CvmKernel *kernel, FILE *stream);
char *cvm_kernel_text(const CvmKernel *kernel, CvmArena *arena);

#endif
