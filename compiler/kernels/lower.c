/* Turns every fused group of a finished graph into a kernel: the calls of lower.h with which the
 * ops describe themselves, and the walk over groups that drives them. Loops are cut afterwards
 * (schedule.c), code is made from the result alone (compiler/codegen). */
#include "compiler/kernels/lower.h"

#include "compiler/graph/layout.h"
#include "compiler/kernels/schedule.h"
#include "compiler/ops/winograd.h"

#include <stdlib.h>
#include <string.h>

CvmStrides cvm_value_strides(const CvmType *type) {
    CvmStrides strides = {.block = {0}};
    int64_t step = 1;
    for (int i = 0; i < type->shape.rank; i++) { /* blocks lie innermost, the first one most */
        strides.block[i] = cvm_layout_block(type, i);
        strides.inside[i] = step;
        step *= strides.block[i];
    }
    for (int i = type->shape.rank - 1; i >= 0; i--) {
        strides.dims[i] = step;
        step *= type->shape.sizes[i] / strides.block[i];
    }
    return strides;
}

static bool in_rows(const CvmLowering *lowering) {
    return lowering->kernel->form == CVM_KERNEL_ROWS;
}

const CvmExpr *cvm_expr_constant(CvmLowering *lowering, double value) {
    CvmExpr *expr = CVM_NEW(lowering->arena, CvmExpr);
    expr->kind = CVM_EXPR_CONSTANT;
    expr->value = value;
    return expr;
}

const CvmExpr *cvm_expr(CvmLowering *lowering, CvmExprKind kind, const CvmExpr *a, const CvmExpr *b,
                        const CvmExpr *c) {
    CvmExpr *expr = CVM_NEW(lowering->arena, CvmExpr);
    *expr = (CvmExpr){.kind = kind, .a = a, .b = b, .c = c};
    return expr;
}

static const CvmExpr *indexed(CvmLowering *lowering, CvmExprKind kind, int index) {
    CvmExpr *expr = CVM_NEW(lowering->arena, CvmExpr);
    *expr = (CvmExpr){.kind = kind, .index = index};
    return expr;
}

const CvmExpr *cvm_expr_row(CvmLowering *lowering, CvmExprKind kind, int index) {
    return indexed(lowering, kind, index);
}

int cvm_lower_axis(CvmLowering *lowering, const char *name, int64_t extent, bool reduce) {
    CvmKernel *kernel = lowering->kernel;
    if (kernel->axis_count == CVM_MAX_AXES)
        abort(); /* more loops than any op has: a bug in its lower function */
    kernel->axes[kernel->axis_count] = (CvmAxis){name, extent, reduce};
    return kernel->axis_count++;
}

int cvm_lower_buffer(CvmLowering *lowering, const CvmNode *value, bool written) {
    CvmKernel *kernel = lowering->kernel;
    if (kernel->buffer_count == CVM_MAX_BUFFERS) {
        cvm_lower_refuse(lowering, value,
                         "its group reads and writes more tensors than a kernel can");
        return 0;
    }
    kernel->buffers[kernel->buffer_count] =
        (CvmKernelBuffer){.value = value, .dtype = value->type.dtype, .written = written};
    return kernel->buffer_count++;
}

int cvm_lower_scratch(CvmLowering *lowering) {
    CvmKernel *kernel = lowering->kernel;
    kernel->buffers[kernel->buffer_count] = (CvmKernelBuffer){.dtype = CVM_F32};
    return kernel->buffer_count++;
}

void cvm_lower_stride(CvmLowering *lowering, int buffer, int axis, int64_t stride) {
    if (buffer >= 0 && axis >= 0)
        lowering->kernel->buffers[buffer].strides[axis] = stride;
}

void cvm_lower_output(CvmLowering *lowering, int axis, int64_t stride, int64_t channel_stride) {
    if (axis < 0)
        return;
    lowering->output_strides[axis] = stride;
    lowering->channel_strides[axis] = channel_stride;
}

int cvm_lower_lane(CvmLowering *lowering, const CvmType *type, bool reduce) {
    if (type->layout == CVM_LAYOUT_PLAIN)
        return -1;
    return cvm_lower_axis(lowering, "lane", type->lanes, reduce);
}

void cvm_lower_picture(CvmLowering *lowering, const CvmType *type, CvmPictureAxes axes) {
    CvmStrides strides = cvm_value_strides(type);
    bool by_channel = type->layout == CVM_LAYOUT_CHANNEL;
    int64_t group_blocks = axes.group_channels / strides.block[1];
    lowering->picture = axes;
    cvm_lower_output(lowering, axes.n, strides.dims[0], 0);
    cvm_lower_output(lowering, axes.group, group_blocks * strides.dims[1], axes.group_channels);
    cvm_lower_output(lowering, axes.c, strides.dims[1], strides.block[1]);
    cvm_lower_output(lowering, axes.y, strides.dims[2], 0);
    cvm_lower_output(lowering, axes.x, strides.dims[3], 0);
    cvm_lower_output(lowering, axes.lane, 1, by_channel);
}

void cvm_lower_picture_strides(CvmLowering *lowering, int buffer, const CvmType *type,
                               CvmPictureAxes axes) {
    CvmStrides strides = cvm_value_strides(type);
    cvm_lower_stride(lowering, buffer, axes.n, strides.dims[0]);
    cvm_lower_stride(lowering, buffer, axes.c, strides.dims[1]);
    cvm_lower_stride(lowering, buffer, axes.y, strides.dims[2]);
    cvm_lower_stride(lowering, buffer, axes.x, strides.dims[3]);
    cvm_lower_stride(lowering, buffer, axes.lane, 1);
}

static int position_in_group(const CvmLowering *lowering, const CvmNode *node) {
    for (int i = 0; i < lowering->node_count; i++)
        if (lowering->nodes[i] == node)
            return i;
    return -1;
}

/* Strides of a ROWS kernel's buffer along pictures, columns and positions; [n] has one number for
 * each picture. */
static void set_row_strides(const CvmType *type, int64_t *strides) {
    CvmStrides own = cvm_value_strides(type);
    int rank = type->shape.rank;
    strides[0] = rank > 0 ? own.dims[0] : 0;
    strides[1] = rank > 1 ? own.dims[1] / own.block[1] : 0;
    /* pixels of a channel, of all pictures of a block, lie in one run, as those of a block of
     * channels do */
    strides[2] = rank > 2 ? own.block[1] : 0;
}

bool cvm_lower_has_operand(const CvmLowering *lowering, const CvmNode *node, int operand) {
    return position_in_group(lowering, node->inputs[operand]) >= 0;
}

/* Strides along the kernel's axes of a tensor read or written at the result's coordinates: the
 * result's own for its shape, the channel's for [c], none for a scalar. */
static bool set_result_strides(CvmLowering *lowering, int buffer, const CvmNode *value) {
    CvmKernel *kernel = lowering->kernel;
    int64_t *strides = kernel->buffers[buffer].strides;
    kernel->buffers[buffer].pooled = kernel->pooling.combine != CVM_COMBINE_NONE;
    const CvmShape *shape = &value->type.shape;
    if (lowering->beside) {
        kernel->buffers[buffer].beside = true;
        strides[0] = shape->rank;
        return shape->rank <= 1;
    }
    if (kernel->form == CVM_KERNEL_WEIGHTS || kernel->form == CVM_KERNEL_WINOGRAD_GRAD ||
        kernel->form == CVM_KERNEL_WINOGRAD_ROWS_GRAD) {
        strides[0] = shape->rank > 0;
        return shape->rank == 0 || cvm_shape_equal(shape, &lowering->type->shape);
    }
    if (in_rows(lowering)) {
        set_row_strides(&value->type, strides);
        return true;
    }
    if (shape->rank == 0)
        return true;
    bool same = cvm_shape_equal(shape, &lowering->type->shape);
    if (!same && shape->rank != 1)
        return false;
    memcpy(strides, same ? lowering->output_strides : lowering->channel_strides,
           sizeof lowering->output_strides);
    return true;
}

static int result_buffer(CvmLowering *lowering, const CvmNode *value, bool written) {
    CvmKernel *kernel = lowering->kernel;
    int buffer = cvm_lower_buffer(lowering, value, written);
    if (!set_result_strides(lowering, buffer, value))
        cvm_lower_refuse(lowering, value, "its shape is not that of the group's result");
    for (int i = 0; i < buffer && !written; i++)
        if (kernel->buffers[i].value == value && !kernel->buffers[i].written &&
            kernel->buffers[i].pooled == kernel->buffers[buffer].pooled &&
            kernel->buffers[i].beside == kernel->buffers[buffer].beside &&
            !memcmp(kernel->buffers[i].strides, kernel->buffers[buffer].strides,
                    sizeof kernel->buffers[i].strides)) {
            kernel->buffer_count = buffer; /* read already: one buffer serves both */
            return i;
        }
    return buffer;
}

const CvmExpr *cvm_lower_operand(CvmLowering *lowering, const CvmNode *node, int operand) {
    const CvmNode *input = node->inputs[operand];
    int position = position_in_group(lowering, input);
    if (position >= 0)
        return lowering->values[position];
    if (input->op == CVM_OP_CONSTANT)
        return cvm_expr_constant(lowering, cvm_node_attribute(input, "value")->real);
    return indexed(lowering, CVM_EXPR_LOAD, result_buffer(lowering, input, false));
}

const CvmExpr *cvm_expr_is_target(CvmLowering *lowering, const CvmNode *node, int operand) {
    return indexed(lowering, CVM_EXPR_IS_TARGET,
                   result_buffer(lowering, node->inputs[operand], false));
}

const CvmExpr *cvm_expr_uniform(CvmLowering *lowering, const CvmNode *node, int operand,
                                int64_t stream) {
    CvmExpr *expr = CVM_NEW(lowering->arena, CvmExpr);
    *expr = (CvmExpr){.kind = CVM_EXPR_UNIFORM,
                      .index = cvm_lower_buffer(lowering, node->inputs[operand], false),
                      .stream = stream};
    if (cvm_op_info(lowering->nodes[0]->op)->class != CVM_CLASS_POINTWISE)
        cvm_lower_refuse(lowering, node, "random numbers are drawn in pointwise kernels alone");
    return expr;
}

void cvm_lower_value(CvmLowering *lowering, const CvmNode *node, const CvmExpr *value) {
    lowering->values[position_in_group(lowering, node)] = value;
}

/* The loops over pixels stay, and end with the last whole window. */
void cvm_lower_pooling(CvmLowering *lowering, const CvmNode *node, CvmCombine combine,
                       const int64_t sizes[2]) {
    CvmKernel *kernel = lowering->kernel;
    CvmPictureAxes axes = lowering->picture;
    bool tiled = kernel->form == CVM_KERNEL_WINOGRAD;
    bool by_rows = kernel->form == CVM_KERNEL_WINOGRAD_ROWS;
    if ((kernel->form != CVM_KERNEL_REDUCE && !tiled && !by_rows) || !axes.group_channels ||
        node->type.layout == CVM_LAYOUT_PLAIN || kernel->pooling.combine != CVM_COMBINE_NONE) {
        cvm_lower_refuse(lowering, node, "it is pooled behind a convolution in blocks alone");
        return;
    }
    if (tiled && (kernel->winograd.tile % sizes[0] || kernel->winograd.tile % sizes[1])) {
        cvm_lower_refuse(lowering, node, "its windows do not divide Winograd's tiles");
        return;
    }
    if (by_rows && (sizes[0] > CVM_WINOGRAD_SIDE || sizes[1] > CVM_WINOGRAD_SIDE)) {
        cvm_lower_refuse(lowering, node, "its windows are larger than Winograd's tiles");
        return;
    }
    if (!tiled && !by_rows && node->type.shape.sizes[3] > CVM_MAX_POOLED_WINDOWS) {
        cvm_lower_refuse(lowering, node, "a row has more windows than a kernel can pool");
        return;
    }
    kernel->pooling = (CvmPooling){.combine = combine,
                                   .axes = {axes.y, axes.x},
                                   .sizes = {sizes[0], sizes[1]},
                                   .value = cvm_lower_operand(lowering, node, 0)};
    kernel->axes[axes.y].extent = node->type.shape.sizes[2] * sizes[0];
    kernel->axes[axes.x].extent = node->type.shape.sizes[3] * sizes[1];
    lowering->type = &node->type;
    cvm_lower_picture(lowering, &node->type, axes);
}

void cvm_lower_side_sum(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *type = &node->inputs[0]->type;
    CvmStrides strides = cvm_value_strides(type);
    int64_t pixels = type->shape.rank == 4 ? type->shape.sizes[2] * type->shape.sizes[3] : 1;
    bool across = strides.block[1] > 1 || (type->shape.rank == 2 && strides.block[0] == 1);
    kernel->side = (CvmSideSum){.buffer = -1,
                                .across = across,
                                .blocks = type->shape.sizes[0] / strides.block[0],
                                .block_step = strides.dims[0],
                                .run = across ? pixels : pixels * strides.block[0],
                                .channel_step = strides.dims[1] / strides.block[1]};
    memcpy(kernel->side.steps, lowering->side_steps, sizeof lowering->side_steps);
    for (int i = 0; i < kernel->buffer_count; i++)
        if (kernel->buffers[i].value == node->inputs[0])
            kernel->side.buffer = i;
    if (kernel->side.buffer < 0)
        cvm_lower_refuse(lowering, node, "its kernel does not read what it sums up");
}

void cvm_lower_rows(CvmLowering *lowering, const CvmType *type) {
    CvmKernel *kernel = lowering->kernel;
    const CvmShape *shape = &type->shape;
    int64_t lanes = type->layout == CVM_LAYOUT_BATCH ? type->lanes : 1;
    if (shape->sizes[1] > CVM_MAX_ROW_ELEMENTS)
        cvm_lower_refuse(lowering, lowering->nodes[0], "its rows have more than 65536 columns");
    kernel->block = type->layout == CVM_LAYOUT_CHANNEL ? type->lanes : 0;
    kernel->pictures = shape->sizes[0] / lanes;
    kernel->columns = shape->sizes[1];
    kernel->positions = shape->rank == 4 ? shape->sizes[2] * shape->sizes[3] * lanes : 1;
}

int cvm_lower_statement(CvmLowering *lowering, CvmStatementKind kind, const CvmExpr *value) {
    CvmKernel *kernel = lowering->kernel;
    if (kernel->statement_count == CVM_MAX_STATEMENTS) {
        cvm_lower_refuse(lowering, lowering->nodes[0], "its group has too many row operations");
        return 0;
    }
    if (kernel->block && kind != CVM_STATEMENT_VALUE)
        cvm_lower_refuse(lowering, lowering->nodes[0], "it works along channels that are blocked");
    kernel->statements[kernel->statement_count] = (CvmStatement){kind, value, -1};
    return kernel->statement_count++;
}

/* Every column lies within columns - 1 of every other. */
const CvmExpr *cvm_expr_window_sum(CvmLowering *lowering, const CvmExpr *row_value, int64_t reach) {
    int64_t columns = lowering->kernel->columns;
    CvmExpr *expr = CVM_NEW(lowering->arena, CvmExpr);
    *expr = (CvmExpr){.kind = CVM_EXPR_WINDOW_SUM,
                      .index = row_value->index,
                      .reach = reach < columns ? reach : columns - 1};
    return expr;
}

int64_t cvm_copy_pieces(const CvmCopy *copy) {
    return (copy->length + CVM_COPY_PIECE - 1) / CVM_COPY_PIECE;
}

void cvm_lower_copy(CvmLowering *lowering, CvmCopy copy) {
    CvmKernel *kernel = lowering->kernel;
    if (lowering->failed)
        return;
    kernel->copies[kernel->copy_count++] = copy;
    kernel->extent += copy.rows * cvm_copy_pieces(&copy);
}

void cvm_lower_refuse(CvmLowering *lowering, const CvmNode *node, const char *why) {
    if (!lowering->failed)
        cvm_diag_error(lowering->diag, 1602, node->origin.span, node->origin.uses, NULL,
                       "no kernel for %s (%s): %s", cvm_op_info(node->op)->name,
                       node->origin.name ? node->origin.name : "unnamed", why);
    lowering->failed = true;
}

static bool has_op(const CvmLowering *lowering, CvmOp op) {
    for (int i = 0; i < lowering->node_count; i++)
        if (lowering->nodes[i]->op == op)
            return true;
    return false;
}

/* An axis of a pointwise group: how far a step goes in memory, in channels, in the plain order. */
static void lower_map_axis(CvmLowering *lowering, const char *name, int64_t extent, int64_t stride,
                           int64_t channel_stride, int64_t element_stride) {
    int axis = cvm_lower_axis(lowering, name, extent, false);
    cvm_lower_output(lowering, axis, stride, channel_stride);
    if (has_op(lowering, CVM_OP_DROPOUT))
        lowering->kernel->element_strides[axis] = element_stride;
}

/* A pointwise group has no anchor: its loops are those of the result's memory, flat unless an
 * operand is broadcast along the channels, or elements of blocked pictures draw random numbers. */
static void lower_map_axes(CvmLowering *lowering) {
    const CvmType *type = &lowering->nodes[lowering->node_count - 1]->type;
    const CvmShape *shape = &type->shape;
    int64_t lanes = type->layout == CVM_LAYOUT_PLAIN ? 1 : type->lanes;
    bool by_lane = lanes > 1 && has_op(lowering, CVM_OP_DROPOUT);
    bool by_channel = false;
    for (int i = 0; i < lowering->node_count; i++)
        by_channel |= cvm_reads_channels(lowering->nodes[i]);
    lowering->kernel->combine = CVM_COMBINE_NONE;
    int64_t count;
    cvm_shape_count(shape, &count);
    if (!by_channel && !by_lane) {
        lower_map_axis(lowering, "i", count, 1, 0, 1);
        return;
    }
    CvmStrides strides = cvm_value_strides(type);
    bool split = by_lane || type->layout == CVM_LAYOUT_CHANNEL;
    int64_t batch = shape->sizes[0] / strides.block[0];
    int64_t channels = shape->sizes[1] / strides.block[1];
    int64_t pixels = count / (shape->sizes[0] * shape->sizes[1]);
    int64_t picture = shape->sizes[1] * pixels;
    int64_t inner = split ? pixels : pixels * lanes;
    lower_map_axis(lowering, "n", batch, strides.dims[0], 0, picture * strides.block[0]);
    lower_map_axis(lowering, "c", channels, strides.dims[1], strides.block[1],
                   pixels * strides.block[1]);
    if (inner > 1)
        lower_map_axis(lowering, "i", inner, split ? lanes : 1, 0, 1);
    if (split && type->layout == CVM_LAYOUT_CHANNEL)
        lower_map_axis(lowering, "lane", lanes, 1, 1, pixels);
    else if (split)
        lower_map_axis(lowering, "lane", lanes, 1, 0, picture);
}

static CvmKernelForm form_of(const CvmNode *anchor) {
    if (anchor->op == CVM_OP_WINOGRAD || anchor->op == CVM_OP_WINOGRAD_WEIGHT)
        return anchor->op == CVM_OP_WINOGRAD ? CVM_KERNEL_WINOGRAD : CVM_KERNEL_WINOGRAD_WEIGHT;
    if (anchor->op == CVM_OP_WINOGRAD_GRAD_WEIGHT)
        return CVM_KERNEL_WINOGRAD_GRAD;
    if (anchor->op == CVM_OP_WINOGRAD_ROWS || anchor->op == CVM_OP_WINOGRAD_ROWS_GRAD_INPUT)
        return CVM_KERNEL_WINOGRAD_ROWS;
    if (anchor->op == CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT)
        return CVM_KERNEL_WINOGRAD_ROWS_GRAD;
    switch (cvm_op_info(anchor->op)->class) {
    case CVM_CLASS_ROWS:
        return CVM_KERNEL_ROWS;
    case CVM_CLASS_MOVE:
        return anchor->op == CVM_OP_RELAYOUT      ? CVM_KERNEL_RELAYOUT
               : anchor->op == CVM_OP_TURN_WEIGHT ? CVM_KERNEL_TURN
                                                  : CVM_KERNEL_COPY;
    case CVM_CLASS_CONTRACTION:
        return anchor->type.layout == CVM_LAYOUT_FILTER ? CVM_KERNEL_WEIGHTS : CVM_KERNEL_REDUCE;
    case CVM_CLASS_WINDOW:
        return anchor->op == CVM_OP_MAXPOOL_GRAD || anchor->op == CVM_OP_AVGPOOL_GRAD ||
                       anchor->op == CVM_OP_ADAPTIVE_AVGPOOL_GRAD
                   ? CVM_KERNEL_SCATTER
                   : CVM_KERNEL_REDUCE;
    default:
        return CVM_KERNEL_REDUCE;
    }
}

/* Kernels whose lower function names all buffers, the result's too. */
static bool names_buffers(const CvmKernel *kernel) {
    CvmKernelForm form = kernel->form;
    return form == CVM_KERNEL_RELAYOUT || form == CVM_KERNEL_COPY || form == CVM_KERNEL_TURN ||
           (form == CVM_KERNEL_WEIGHTS && !kernel->weights.applies) ||
           form == CVM_KERNEL_WINOGRAD_WEIGHT;
}

bool cvm_lower_is_beside(const CvmLowering *lowering, const CvmNode *node) {
    CvmOp anchor = lowering->nodes[0]->op;
    return (anchor == CVM_OP_CONV_GRAD_WEIGHT || anchor == CVM_OP_LINEAR_GRAD_WEIGHT ||
            anchor == CVM_OP_WINOGRAD_GRAD_WEIGHT || anchor == CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT) &&
           node->type.shape.rank == 1;
}

static void add_result(CvmLowering *lowering, const CvmNode *node, int buffer,
                       const CvmExpr *value) {
    CvmKernel *kernel = lowering->kernel;
    CvmResult *results = lowering->beside ? kernel->side.results : kernel->results;
    int *count = lowering->beside ? &kernel->side.result_count : &kernel->result_count;
    if (*count < CVM_MAX_RESULTS)
        results[(*count)++] = (CvmResult){buffer, value};
    else
        cvm_lower_refuse(lowering, node, "its group stores more results than a kernel can");
}

/* Stores what the world outside the group reads. */
static void store_results(CvmLowering *lowering, const bool *read_outside) {
    CvmKernel *kernel = lowering->kernel;
    for (int i = 0; i < lowering->node_count; i++) {
        const CvmNode *node = lowering->nodes[i];
        if (!read_outside[node->id])
            continue;
        const CvmExpr *value = lowering->values[i];
        lowering->beside = cvm_lower_is_beside(lowering, node);
        if (names_buffers(kernel) && !lowering->beside)
            continue;
        int buffer = result_buffer(lowering, node, true);
        if (in_rows(lowering)) {
            bool per_column = node->type.shape.rank >= 2;
            int statement =
                per_column && value->kind == CVM_EXPR_ROW_VALUE
                    ? value->index
                    : cvm_lower_statement(
                          lowering, per_column ? CVM_STATEMENT_VALUE : CVM_STATEMENT_STORE, value);
            kernel->statements[statement].buffer = buffer;
        } else {
            add_result(lowering, node, buffer, value);
        }
    }
}

static bool names_place(const CvmExpr *expr) {
    return expr && (expr->kind == CVM_EXPR_PLACE || names_place(expr->a) || names_place(expr->b) ||
                    names_place(expr->c));
}

bool cvm_kernel_has_place(const CvmKernel *kernel) {
    for (int i = 0; i < kernel->result_count; i++)
        if (names_place(kernel->results[i].value))
            return true;
    return false;
}

bool cvm_scatter_overlaps(const CvmScatter *scatter) {
    for (int i = 0; i < 2; i++)
        if (scatter->stride[i] < scatter->kernel[i] || scatter->pad[i] > 0 ||
            (scatter->output[i] - 1) * scatter->stride[i] + scatter->kernel[i] > scatter->input[i])
            return true;
    return false;
}

static uint64_t text_hash(const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

static void add_costs(CvmKernel *kernel, const CvmLowering *lowering) {
    for (int i = 0; i < lowering->node_count; i++) {
        const CvmOpInfo *info = cvm_op_info(lowering->nodes[i]->op);
        if (info->cost)
            kernel->flops += info->cost(lowering->nodes[i]).flops;
    }
    for (int i = 0; i < kernel->buffer_count; i++) {
        if (!kernel->buffers[i].value)
            continue;
        const CvmType *type = &kernel->buffers[i].value->type;
        int64_t count;
        if (cvm_shape_count(&type->shape, &count))
            kernel->bytes += (double)count * (double)cvm_dtype_bytes(type->dtype);
    }
}

static CvmKernel *lower_group(CvmLowering *lowering, const bool *read_outside,
                              CvmTargetShape target) {
    CvmKernel *kernel = lowering->kernel = CVM_NEW(lowering->arena, CvmKernel);
    CvmNode *anchor = lowering->nodes[0];
    kernel->a = kernel->b = -1;
    kernel->scatter.index = kernel->scatter.gradient = kernel->side.buffer = -1;
    kernel->layer = anchor->origin.name ? anchor->origin.name : "";
    kernel->nodes = lowering->nodes;
    kernel->node_count = lowering->node_count;
    kernel->form = form_of(anchor);
    lowering->type = &anchor->type;
    lowering->values =
        cvm_arena_array(lowering->arena, (size_t)lowering->node_count, sizeof(CvmExpr *));
    memset(lowering->output_strides, 0, sizeof lowering->output_strides);
    memset(lowering->channel_strides, 0, sizeof lowering->channel_strides);
    if (cvm_op_info(anchor->op)->class == CVM_CLASS_POINTWISE)
        lower_map_axes(lowering);
    for (int i = 0; i < lowering->node_count && !lowering->failed; i++) {
        const CvmOpInfo *info = cvm_op_info(lowering->nodes[i]->op);
        lowering->beside = cvm_lower_is_beside(lowering, lowering->nodes[i]);
        if (info->lower)
            info->lower(lowering, lowering->nodes[i]);
        else
            cvm_lower_refuse(lowering, lowering->nodes[i], "the operator has no code generation");
    }
    if (!lowering->failed)
        store_results(lowering, read_outside);
    if (lowering->failed)
        return NULL;
    add_costs(kernel, lowering);
    kernel->schedule.lanes = target.lanes;
    if (kernel->form == CVM_KERNEL_REDUCE)
        cvm_schedule(kernel, target);
    else if (kernel->form == CVM_KERNEL_ROWS)
        cvm_schedule_rows(kernel, target);
    else if (kernel->form == CVM_KERNEL_WEIGHTS)
        cvm_schedule_weights(kernel, target);
    else if (kernel->form == CVM_KERNEL_WINOGRAD)
        cvm_schedule_winograd(kernel, target);
    else if (kernel->form == CVM_KERNEL_WINOGRAD_GRAD)
        cvm_schedule_winograd_grad(kernel, target);
    else if (kernel->form == CVM_KERNEL_WINOGRAD_ROWS ||
             kernel->form == CVM_KERNEL_WINOGRAD_ROWS_GRAD)
        cvm_schedule_winograd_rows(kernel, target);
    else if (kernel->form == CVM_KERNEL_LINEAR)
        cvm_schedule_linear(kernel, target);
    else if (kernel->form == CVM_KERNEL_BLAS)
        cvm_schedule_blas(kernel);
    char *text = cvm_kernel_text(kernel, lowering->arena);
    snprintf(kernel->symbol, sizeof kernel->symbol, "%s_%016llx", cvm_op_info(anchor->op)->name,
             (unsigned long long)text_hash(text));
    return kernel;
}

/* A value needs memory when a node of another group, an output or an update reads it. */
static bool *find_read_outside(const CvmGraph *graph, CvmArena *arena) {
    bool *read = cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof *read);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        for (int k = 0; k < node->input_count; k++)
            if (node->group == CVM_NO_GROUP || node->inputs[k]->group != node->group)
                read[node->inputs[k]->id] = true;
    }
    for (int i = 0; i < graph->output_count; i++)
        read[graph->outputs[i].value->id] = true;
    for (int i = 0; i < graph->update_count; i++)
        read[graph->updates[i].value->id] = true;
    return read;
}

static bool has_kernel(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS;
}

bool cvm_lower_graph(CvmGraph *graph, CvmTargetShape target, CvmArena *arena, CvmKernelList *list,
                     CvmDiag *diag) {
    bool *read_outside = find_read_outside(graph, arena);
    *list = (CvmKernelList){
        .kernels = cvm_arena_array(arena, (size_t)graph->node_count + 1, sizeof(CvmKernel *))};
    bool complete = true;
    for (int i = 0, next; i < graph->node_count; i = next) {
        CvmNode *node = graph->nodes[i];
        next = i + 1;
        if (!has_kernel(node))
            continue;
        while (node->group != CVM_NO_GROUP && next < graph->node_count &&
               graph->nodes[next]->group == node->group)
            next++;
        CvmLowering lowering = {.arena = arena,
                                .graph = graph,
                                .tuning = target.tuning,
                                .diag = diag,
                                .blas = target.blas,
                                .nodes = graph->nodes + i,
                                .node_count = next - i};
        CvmKernel *kernel = lower_group(&lowering, read_outside, target);
        if (kernel)
            list->kernels[list->count++] = kernel;
        complete &= kernel != NULL;
    }
    return complete;
}
