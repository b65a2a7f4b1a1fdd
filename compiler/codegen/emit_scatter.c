/* The generator of SCATTER kernels: the gradients of pooling. A work item is one plane of one
 * channel (of `lanes` pictures at once in the batch-blocked layout). Where windows do not overlap,
 * every element gets its gradient in one store, with the epilogue on it; where they do, windows add
 * to the plane one after the other, in row order. */
#include "compiler/codegen/emitter.h"

enum { MAX_UNROLLED = 25 }; /* taps of a window */

typedef struct Scatter {
    CvmEmitter *emitter;
    const CvmScatter *shape;
    LLVMValueRef plane;   /* element offset of the plane of x and dx */
    LLVMValueRef element; /* offset of the element at hand */
    CvmLanes on;
} Scatter;

static bool covers_plane(const CvmScatter *scatter) {
    for (int i = 0; i < 2; i++)
        if (scatter->stride[i] != scatter->kernel[i] ||
            scatter->output[i] * scatter->stride[i] != scatter->input[i])
            return false;
    return true;
}

static LLVMValueRef element_load(Scatter *scatter, int buffer) {
    CvmEmitter *emitter = scatter->emitter;
    return cvm_load(emitter, cvm_advance(emitter, emitter->buffers[buffer], scatter->element), 1,
                    &scatter->on, 0);
}

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    (void)emitter;
    return element_load(state, expr->index);
}

/* Offset of element (row, column) of the plane. */
static LLVMValueRef element_at(Scatter *scatter, LLVMValueRef row, LLVMValueRef column) {
    CvmEmitter *emitter = scatter->emitter;
    int64_t width = scatter->shape->input[1], lanes = scatter->shape->lanes;
    LLVMValueRef offset =
        cvm_sum(emitter, cvm_scale(emitter, row, width * lanes), cvm_scale(emitter, column, lanes));
    return cvm_sum(emitter, scatter->plane, offset);
}

static void zero_plane(Scatter *scatter) {
    CvmEmitter *emitter = scatter->emitter;
    int64_t count = scatter->shape->input[0] * scatter->shape->input[1] * scatter->shape->lanes;
    for (int i = 0; i < emitter->kernel->result_count; i++) {
        LLVMValueRef to = cvm_advance(emitter, emitter->buffers[emitter->kernel->results[i].buffer],
                                      scatter->plane);
        LLVMBuildMemSet(emitter->builder, to,
                        LLVMConstInt(LLVMInt8TypeInContext(emitter->context), 0, false),
                        cvm_i64(emitter, count * 4), 4);
    }
}

/* The elements of a window, as far as they lie inside. */
typedef struct Window {
    LLVMValueRef row, column;           /* of its first element, may be negative by the padding */
    LLVMValueRef rows_end, columns_end; /* where the picture or an adaptive window ends */
    LLVMValueRef gradient;              /* dy of the window, or each element's share of it */
    LLVMValueRef index;                 /* which element gets it; NULL: all of them */
} Window;

static LLVMValueRef tap_row(Scatter *scatter, const Window *window, int64_t i) {
    return cvm_sum(scatter->emitter, window->row, cvm_i64(scatter->emitter, i));
}

static LLVMValueRef tap_column(Scatter *scatter, const Window *window, int64_t j) {
    return cvm_sum(scatter->emitter, window->column, cvm_i64(scatter->emitter, j));
}

/* What the window gives its tap number `tap`, which is known when code is made or an i64. */
static LLVMValueRef share_of_tap(Scatter *scatter, const Window *window, LLVMValueRef tap) {
    CvmEmitter *emitter = scatter->emitter;
    int lanes = scatter->on.lanes;
    if (!scatter->shape->maximum)
        return window->gradient;
    LLVMValueRef number = LLVMBuildUIToFP(emitter->builder, tap, emitter->f32, "");
    LLVMValueRef chosen = LLVMBuildFCmp(emitter->builder, LLVMRealOEQ, window->index,
                                        cvm_splat(emitter, number, lanes), "chosen");
    return LLVMBuildSelect(emitter->builder, chosen, window->gradient, cvm_float(emitter, lanes, 0),
                           "");
}

typedef void Visit(Scatter *scatter, const Window *window, LLVMValueRef row, LLVMValueRef column,
                   LLVMValueRef tap);

/* Visits every tap in a loop. */
static void for_taps(Scatter *scatter, const Window *window, Visit *visit) {
    CvmEmitter *emitter = scatter->emitter;
    const int64_t *kernel = scatter->shape->kernel;
    LLVMValueRef zero = cvm_i64(emitter, 0);
    CvmLoop rows = cvm_loop_begin(emitter, zero, cvm_i64(emitter, kernel[0]), 1);
    CvmLoop columns = cvm_loop_begin(emitter, zero, cvm_i64(emitter, kernel[1]), 1);
    visit(scatter, window, cvm_sum(emitter, window->row, rows.index),
          cvm_sum(emitter, window->column, columns.index),
          cvm_sum(emitter, cvm_scale(emitter, rows.index, kernel[1]), columns.index));
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}

static int64_t tap_count(const Scatter *scatter) {
    return scatter->shape->kernel[0] * scatter->shape->kernel[1];
}

/* --- windows that do not overlap: every element is stored once, with the epilogue on it --- */

static void store_element(Scatter *scatter, const Window *window, LLVMValueRef row,
                          LLVMValueRef column, LLVMValueRef tap) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmKernel *kernel = emitter->kernel;
    LLVMValueRef values[CVM_MAX_RESULTS];
    scatter->element = element_at(scatter, row, column);
    CvmExprContext context = {share_of_tap(scatter, window, tap), scatter->on.lanes, leaf, scatter};
    for (int i = 0; i < kernel->result_count; i++)
        values[i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    for (int i = 0; i < kernel->result_count; i++) {
        LLVMValueRef buffer = emitter->buffers[kernel->results[i].buffer];
        cvm_store(emitter, values[i], cvm_advance(emitter, buffer, scatter->element), 1,
                  &scatter->on);
    }
}

static void emit_separate_window(Scatter *scatter, const Window *window) {
    int64_t width = scatter->shape->kernel[1];
    if (tap_count(scatter) > MAX_UNROLLED) {
        for_taps(scatter, window, store_element);
        return;
    }
    for (int64_t k = 0; k < tap_count(scatter); k++)
        store_element(scatter, window, tap_row(scatter, window, k / width),
                      tap_column(scatter, window, k % width), cvm_i64(scatter->emitter, k));
}

/* --- windows that overlap or reach into the padding: each adds to its elements in turn --- */

static void add_to_element(Scatter *scatter, const Window *window, LLVMValueRef row,
                           LLVMValueRef column, LLVMValueRef tap) {
    CvmEmitter *emitter = scatter->emitter;
    LLVMValueRef buffer = emitter->buffers[emitter->kernel->results[0].buffer];
    LLVMValueRef at = cvm_advance(emitter, buffer, element_at(scatter, row, column));
    LLVMValueRef sum = LLVMBuildFAdd(emitter->builder, cvm_load(emitter, at, 1, &scatter->on, 0),
                                     share_of_tap(scatter, window, tap), "");
    cvm_store(emitter, sum, at, 1, &scatter->on);
}

static LLVMValueRef is_inside(Scatter *scatter, const Window *window, LLVMValueRef row,
                              LLVMValueRef column) {
    LLVMBuilderRef builder = scatter->emitter->builder;
    return LLVMBuildAnd(builder, LLVMBuildICmp(builder, LLVMIntULT, row, window->rows_end, ""),
                        LLVMBuildICmp(builder, LLVMIntULT, column, window->columns_end, ""), "");
}

static void add_where_inside(Scatter *scatter, const Window *window, LLVMValueRef row,
                             LLVMValueRef column, LLVMValueRef tap) {
    CvmBranch branch = cvm_branch_begin(scatter->emitter, is_inside(scatter, window, row, column));
    add_to_element(scatter, window, row, column, tap);
    cvm_branch_end(scatter->emitter, &branch);
}

/* Most windows lie inside with all their elements: so these are not asked one by one. */
static void emit_overlapping_window(Scatter *scatter, const Window *window) {
    CvmEmitter *emitter = scatter->emitter;
    const int64_t *kernel = scatter->shape->kernel;
    if (tap_count(scatter) > MAX_UNROLLED) {
        for_taps(scatter, window, add_where_inside);
        return;
    }
    LLVMValueRef first = is_inside(scatter, window, window->row, window->column);
    LLVMValueRef last = is_inside(scatter, window, tap_row(scatter, window, kernel[0] - 1),
                                  tap_column(scatter, window, kernel[1] - 1));
    CvmBranch branch =
        cvm_branch_begin(emitter, LLVMBuildAnd(emitter->builder, first, last, "inner"));
    for (int64_t k = 0; k < tap_count(scatter); k++)
        add_to_element(scatter, window, tap_row(scatter, window, k / kernel[1]),
                       tap_column(scatter, window, k % kernel[1]), cvm_i64(emitter, k));
    cvm_branch_else(emitter, &branch);
    for_taps(scatter, window, add_where_inside);
    cvm_branch_end(emitter, &branch);
}

/* --- planes --- */

/* What the buffer, of the pooled picture's shape, has for the window. */
static LLVMValueRef load_of_window(Scatter *scatter, int buffer, LLVMValueRef item,
                                   LLVMValueRef row, LLVMValueRef column) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmScatter *shape = scatter->shape;
    int64_t width = shape->output[1], lanes = shape->lanes;
    LLVMValueRef offset =
        cvm_sum(emitter, cvm_scale(emitter, item, shape->output[0] * width * lanes),
                cvm_sum(emitter, cvm_scale(emitter, row, width * lanes),
                        cvm_scale(emitter, column, lanes)));
    return cvm_load(emitter, cvm_advance(emitter, emitter->buffers[buffer], offset), 1,
                    &scatter->on, 0);
}

static LLVMValueRef window_gradient(Scatter *scatter, LLVMValueRef item, LLVMValueRef row,
                                    LLVMValueRef column) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmScatter *shape = scatter->shape;
    LLVMValueRef gradient = load_of_window(scatter, shape->gradient, item, row, column);
    const LLVMValueRef positions[] = {row, column};
    double uniform = 1;
    for (int i = 0; i < 2 && !shape->maximum; i++) {
        if (!emitter->kernel->tables[i]) {
            uniform /= (double)shape->kernel[i];
            continue;
        }
        LLVMValueRef at = cvm_advance(emitter, cvm_table_shares(emitter, i), positions[i]);
        LLVMValueRef share = cvm_load(emitter, at, 0, &scatter->on, 0);
        gradient = LLVMBuildFMul(emitter->builder, gradient, share, "");
    }
    if (uniform == 1)
        return gradient;
    return LLVMBuildFMul(emitter->builder, gradient, cvm_float(emitter, scatter->on.lanes, uniform),
                         "");
}

/* First element and end of the window at `position` along an axis. */
static LLVMValueRef window_start(Scatter *scatter, int axis, LLVMValueRef position) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmWindowTable *table = emitter->kernel->tables[axis];
    if (table && table->first)
        return cvm_table_first(emitter, axis, position);
    return cvm_sum(emitter, cvm_scale(emitter, position, scatter->shape->stride[axis]),
                   cvm_i64(emitter, -scatter->shape->pad[axis]));
}

static LLVMValueRef window_end(Scatter *scatter, int axis, LLVMValueRef position) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmWindowTable *table = emitter->kernel->tables[axis];
    return table && table->last ? cvm_table_last(emitter, axis, position)
                                : cvm_i64(emitter, scatter->shape->input[axis]);
}

void cvm_emit_scatter(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmScatter *shape = &emitter->kernel->scatter;
    int64_t plane = shape->input[0] * shape->input[1] * shape->lanes;
    Scatter scatter = {.emitter = emitter,
                       .shape = shape,
                       .plane = cvm_scale(emitter, item, plane),
                       .on = cvm_lanes_first((int)shape->lanes, shape->lanes)};
    bool overlaps = cvm_scatter_overlaps(shape);
    if (overlaps || !covers_plane(shape))
        zero_plane(&scatter);
    LLVMValueRef zero = cvm_i64(emitter, 0);
    CvmLoop rows = cvm_loop_begin(emitter, zero, cvm_i64(emitter, shape->output[0]), 1);
    CvmLoop columns = cvm_loop_begin(emitter, zero, cvm_i64(emitter, shape->output[1]), 1);
    Window window = {
        .row = window_start(&scatter, 0, rows.index),
        .column = window_start(&scatter, 1, columns.index),
        .rows_end = window_end(&scatter, 0, rows.index),
        .columns_end = window_end(&scatter, 1, columns.index),
        .gradient = window_gradient(&scatter, item, rows.index, columns.index),
    };
    if (shape->maximum)
        window.index = load_of_window(&scatter, shape->index, item, rows.index, columns.index);
    if (overlaps)
        emit_overlapping_window(&scatter, &window);
    else
        emit_separate_window(&scatter, &window);
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}
