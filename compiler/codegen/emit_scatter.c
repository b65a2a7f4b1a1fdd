/* The generator of SCATTER kernels: the gradients of pooling. A work item is one plane of one
 * channel (of `lanes` pictures at once in the batch-blocked layout). Where windows do not overlap,
 * every element gets its gradient in one store, with the epilogue on it; where they do, windows add
 * to the plane one after the other, in row order. */
#include "compiler/codegen/emitter.h"

enum { MAX_WINDOW = 256 };

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
    LLVMValueRef gradient;              /* dy of the window */
} Window;

static LLVMValueRef tap_row(Scatter *scatter, const Window *window, int64_t i) {
    return cvm_sum(scatter->emitter, window->row, cvm_i64(scatter->emitter, i));
}

static LLVMValueRef tap_column(Scatter *scatter, const Window *window, int64_t j) {
    return cvm_sum(scatter->emitter, window->column, cvm_i64(scatter->emitter, j));
}

/* --- windows that do not overlap: everything stays in registers --- */

static LLVMValueRef is_equal(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b) {
    return LLVMBuildFCmp(emitter->builder, LLVMRealOEQ, a, b, "");
}

static void emit_separate_window(Scatter *scatter, const Window *window) {
    CvmEmitter *emitter = scatter->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmScatter *shape = scatter->shape;
    int count = (int)(shape->kernel[0] * shape->kernel[1]);
    LLVMValueRef offsets[MAX_WINDOW], x[MAX_WINDOW], results[MAX_WINDOW][CVM_MAX_RESULTS];
    LLVMValueRef largest = NULL, taken = NULL;
    for (int k = 0; k < count; k++) {
        offsets[k] = element_at(scatter, tap_row(scatter, window, k / shape->kernel[1]),
                                tap_column(scatter, window, k % shape->kernel[1]));
        scatter->element = offsets[k];
        if (!shape->maximum)
            continue;
        x[k] = element_load(scatter, shape->x);
        largest = largest ? cvm_emit_maximum(emitter, largest, x[k]) : x[k];
    }
    LLVMValueRef zero = cvm_float(emitter, (int)shape->lanes, 0);
    for (int k = 0; k < count; k++) {
        LLVMValueRef gradient = window->gradient;
        if (shape->maximum) {
            LLVMValueRef chosen = is_equal(emitter, x[k], largest);
            if (taken)
                chosen = LLVMBuildAnd(builder, chosen, LLVMBuildNot(builder, taken, ""), "");
            taken = taken ? LLVMBuildOr(builder, taken, chosen, "") : chosen;
            gradient = LLVMBuildSelect(builder, chosen, gradient, zero, "");
        }
        scatter->element = offsets[k];
        CvmExprContext context = {gradient, (int)shape->lanes, leaf, scatter};
        for (int i = 0; i < emitter->kernel->result_count; i++)
            results[k][i] = cvm_emit_expr(emitter, emitter->kernel->results[i].value, &context);
    }
    for (int k = 0; k < count; k++)
        for (int i = 0; i < emitter->kernel->result_count; i++)
            cvm_store(emitter, results[k][i],
                      cvm_advance(emitter, emitter->buffers[emitter->kernel->results[i].buffer],
                                  offsets[k]),
                      1, &scatter->on);
}

/* --- windows that overlap or reach into the padding: loops over their taps --- */

static LLVMValueRef is_inside(Scatter *scatter, const Window *window, LLVMValueRef row,
                              LLVMValueRef column) {
    LLVMBuilderRef builder = scatter->emitter->builder;
    return LLVMBuildAnd(builder, LLVMBuildICmp(builder, LLVMIntULT, row, window->rows_end, ""),
                        LLVMBuildICmp(builder, LLVMIntULT, column, window->columns_end, ""), "");
}

/* Visits every tap inside the plane with scatter->element set. */
static void for_taps(Scatter *scatter, const Window *window,
                     void (*visit)(Scatter *scatter, LLVMValueRef *state), LLVMValueRef *state) {
    CvmEmitter *emitter = scatter->emitter;
    LLVMValueRef zero = cvm_i64(emitter, 0);
    CvmLoop rows = cvm_loop_begin(emitter, zero, cvm_i64(emitter, scatter->shape->kernel[0]), 1);
    CvmLoop columns = cvm_loop_begin(emitter, zero, cvm_i64(emitter, scatter->shape->kernel[1]), 1);
    LLVMValueRef row = cvm_sum(emitter, window->row, rows.index);
    LLVMValueRef column = cvm_sum(emitter, window->column, columns.index);
    CvmBranch branch = cvm_branch_begin(emitter, is_inside(scatter, window, row, column));
    scatter->element = element_at(scatter, row, column);
    visit(scatter, state);
    cvm_branch_end(emitter, &branch);
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}

static LLVMValueRef load_slot(Scatter *scatter, LLVMValueRef slot, LLVMTypeRef type) {
    return LLVMBuildLoad2(scatter->emitter->builder, type, slot, "");
}

enum {
    LARGEST,
    FREE,
    GRADIENT
}; /* stack slots of a window: FREE is 1 until an element was chosen */

static void visit_largest(Scatter *scatter, LLVMValueRef *state) {
    CvmEmitter *emitter = scatter->emitter;
    LLVMValueRef x = element_load(scatter, scatter->shape->x);
    LLVMValueRef old = load_slot(scatter, state[LARGEST], LLVMTypeOf(x));
    LLVMBuildStore(emitter->builder, cvm_emit_maximum(emitter, old, x), state[LARGEST]);
}

static void add_to_element(Scatter *scatter, LLVMValueRef gradient) {
    CvmEmitter *emitter = scatter->emitter;
    int buffer = emitter->kernel->results[0].buffer;
    LLVMValueRef at = cvm_advance(emitter, emitter->buffers[buffer], scatter->element);
    LLVMValueRef old = cvm_load(emitter, at, 1, &scatter->on, 0);
    cvm_store(emitter, LLVMBuildFAdd(emitter->builder, old, gradient, ""), at, 1, &scatter->on);
}

static void visit_choose(Scatter *scatter, LLVMValueRef *state) {
    CvmEmitter *emitter = scatter->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef x = element_load(scatter, scatter->shape->x);
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = cvm_float(emitter, scatter->on.lanes, 0);
    LLVMValueRef free = load_slot(scatter, state[FREE], type);
    LLVMValueRef chosen =
        LLVMBuildAnd(builder, is_equal(emitter, x, load_slot(scatter, state[LARGEST], type)),
                     LLVMBuildFCmp(builder, LLVMRealOGT, free, zero, ""), "");
    LLVMBuildStore(builder, LLVMBuildSelect(builder, chosen, zero, free, ""), state[FREE]);
    LLVMValueRef gradient = load_slot(scatter, state[GRADIENT], type);
    add_to_element(scatter, LLVMBuildSelect(builder, chosen, gradient, zero, ""));
}

static void visit_share(Scatter *scatter, LLVMValueRef *state) {
    LLVMTypeRef type = cvm_float_type(scatter->emitter, scatter->on.lanes);
    add_to_element(scatter, load_slot(scatter, state[GRADIENT], type));
}

static void emit_overlapping_window(Scatter *scatter, const Window *window) {
    CvmEmitter *emitter = scatter->emitter;
    int lanes = scatter->on.lanes;
    double starts[] = {[LARGEST] = -__builtin_inf(), [FREE] = 1, [GRADIENT] = 0};
    LLVMValueRef state[3];
    for (int i = 0; i < 3; i++) {
        state[i] = cvm_stack_slot(emitter, cvm_float_type(emitter, lanes), "window");
        LLVMBuildStore(emitter->builder, cvm_float(emitter, lanes, starts[i]), state[i]);
    }
    LLVMBuildStore(emitter->builder, window->gradient, state[GRADIENT]);
    if (scatter->shape->maximum)
        for_taps(scatter, window, visit_largest, state);
    for_taps(scatter, window, scatter->shape->maximum ? visit_choose : visit_share, state);
}

/* --- planes --- */

static LLVMValueRef window_gradient(Scatter *scatter, LLVMValueRef item, LLVMValueRef row,
                                    LLVMValueRef column) {
    CvmEmitter *emitter = scatter->emitter;
    const CvmScatter *shape = scatter->shape;
    int64_t width = shape->output[1], lanes = shape->lanes;
    LLVMValueRef offset =
        cvm_sum(emitter, cvm_scale(emitter, item, shape->output[0] * width * lanes),
                cvm_sum(emitter, cvm_scale(emitter, row, width * lanes),
                        cvm_scale(emitter, column, lanes)));
    LLVMValueRef gradient =
        cvm_load(emitter, cvm_advance(emitter, emitter->buffers[shape->gradient], offset), 1,
                 &scatter->on, 0);
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
    return LLVMBuildFMul(emitter->builder, gradient, cvm_float(emitter, (int)lanes, uniform), "");
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
    if (overlaps || shape->kernel[0] * shape->kernel[1] > MAX_WINDOW)
        emit_overlapping_window(&scatter, &window);
    else
        emit_separate_window(&scatter, &window);
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}
