/* The generator of REDUCE kernels in three files: emit_reduce.c opens the loops and takes the sums'
 * steps, emit_tile.c knows where points of the tile lie in the buffers, emit_results.c does what
 * happens to finished sums. */
#ifndef CVM_CODEGEN_EMIT_REDUCE_H
#define CVM_CODEGEN_EMIT_REDUCE_H

#include "compiler/codegen/emitter.h"
#include "compiler/kernels/schedule.h"

enum { CVM_MAX_SUMS = 128, CVM_MAX_LOADED = 512 };

/* A position within the tile: units along each axis. */
typedef struct CvmTilePoint {
    int64_t unit[CVM_MAX_AXES];
} CvmTilePoint;

/* A load already made in the current straight-line piece, so that taps and sums share it. */
typedef struct CvmLoaded {
    int buffer;
    int64_t offset;
    LLVMValueRef value;
} CvmLoaded;

typedef struct CvmReduce {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    const CvmSchedule *schedule;
    LLVMValueRef index[CVM_MAX_AXES]; /* first element of the block, or the loop's index; NULL: not
                                         yet bound */
    int64_t count[CVM_MAX_AXES];      /* output axes: elements in this block */
    int64_t block_position;           /* the slide's first position in this block, when static */
    bool position_static;
    LLVMValueRef window_index[CVM_MAX_WINDOWS]; /* of windows checked by a branch, once bound */
    int vector_lanes_on;                        /* reduced vector axis: lanes in this step */
    LLVMValueRef sums[CVM_MAX_SUMS];            /* stack slots; they become registers */
    LLVMValueRef places[CVM_MAX_SUMS]; /* likewise, where results say where the largest is */
    int sum_count;
    LLVMValueRef pooled;        /* stack: of the item's row of windows, what was combined so far */
    LLVMValueRef pooled_places; /* likewise, which elements they are; NULL where nobody asks */
    CvmLoaded memo[CVM_MAX_LOADED];
    int memo_count;
    LLVMValueRef
        base[CVM_MAX_BUFFERS]; /* buffer address at the bound indices; NULL: not made yet */
} CvmReduce;

/* --- the tile (emit_tile.c) --- */
/* The window whose taps are unrolled, or NULL; whether its positions run along the axis. */
const CvmWindow *cvm_reduce_slide(const CvmReduce *reduce);
bool cvm_reduce_slides_along(const CvmReduce *reduce, int axis);
bool cvm_reduce_vector_is_output(const CvmReduce *reduce);

/* Units of the present block along an axis, the next point of it (false after the last), the
 * element at which a point's unit begins, the lanes of the point's vector that lie within the
 * block. */
int64_t cvm_tile_units(const CvmReduce *reduce, int axis);
bool cvm_tile_next(const CvmReduce *reduce, CvmTilePoint *point);
int64_t cvm_tile_element(const CvmReduce *reduce, const CvmTilePoint *point, int axis);
CvmLanes cvm_tile_lanes(const CvmReduce *reduce, const CvmTilePoint *point);
/* The element of a point along an axis whose blocks have code of their own, counted from the axis's
 * first. */
int64_t cvm_tile_known(const CvmReduce *reduce, const CvmTilePoint *point, int axis);
/* While sums are made, a unit along the slide's positions is a phase of them: the position of its
 * first lane, and how far its lanes are apart. */
int64_t cvm_tile_position(const CvmReduce *reduce, const CvmTilePoint *point, int axis);

/* Addresses: the buffer's at the bound indices, a point's distance from there, and that of
 * neighbouring lanes. */
LLVMValueRef cvm_reduce_base(CvmReduce *reduce, int buffer);
int64_t cvm_tile_offset(const CvmReduce *reduce, int buffer, const CvmTilePoint *point);
int64_t cvm_reduce_stride(const CvmReduce *reduce, int buffer);

/* Loads `offset` elements behind the base, or gives what was loaded there already. forget: indices
 * have changed, or another straight-line piece begins. */
LLVMValueRef cvm_reduce_load(CvmReduce *reduce, int buffer, int64_t offset, const CvmLanes *lanes,
                             double otherwise);
void cvm_reduce_forget(CvmReduce *reduce);

/* --- finished sums (emit_results.c) --- */
void cvm_reduce_clear_sums(CvmReduce *reduce);
/* Where sums are phases of positions, each becomes one of neighbours; where they are partial, those
 * of vectors that are folded become one, in the place of the first. */
void cvm_reduce_arrange_sums(CvmReduce *reduce);
void cvm_reduce_store_results(CvmReduce *reduce);
/* Fetches what the results of a block further along the vectors' axis are made of. */
void cvm_reduce_fetch_ahead(CvmReduce *reduce);
bool cvm_reduce_is_pooled(const CvmReduce *reduce);
/* Makes room for the item's row of windows. */
void cvm_reduce_begin_pooling(CvmReduce *reduce);
/* Clears the window at the bound index; combines the block's sums into their windows. */
void cvm_reduce_clear_window(CvmReduce *reduce);
void cvm_reduce_pool_sums(CvmReduce *reduce);

#endif
