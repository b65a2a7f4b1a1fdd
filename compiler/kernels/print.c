/* The canonical text of a kernel: everything code generation looks at, nothing that only people
 * read, so that equal texts mean equal code. */
#include "compiler/kernels/kernel.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *const expr_names[] = {
    [CVM_EXPR_CONSTANT] = "constant",
    [CVM_EXPR_ACCUMULATOR] = "sum",
    [CVM_EXPR_PLACE] = "place",
    [CVM_EXPR_LOAD] = "load",
    [CVM_EXPR_UNIFORM] = "uniform",
    [CVM_EXPR_SHARE] = "share",
    [CVM_EXPR_ROW_SCALAR] = "row",
    [CVM_EXPR_ROW_VALUE] = "column",
    [CVM_EXPR_WINDOW_SUM] = "window",
    [CVM_EXPR_IS_TARGET] = "is_target",
    [CVM_EXPR_ADD] = "add",
    [CVM_EXPR_SUBTRACT] = "subtract",
    [CVM_EXPR_MULTIPLY] = "multiply",
    [CVM_EXPR_DIVIDE] = "divide",
    [CVM_EXPR_MAXIMUM] = "maximum",
    [CVM_EXPR_EXP] = "exp",
    [CVM_EXPR_LOG] = "log",
    [CVM_EXPR_TANH] = "tanh",
    [CVM_EXPR_SIGMOID] = "sigmoid",
    [CVM_EXPR_ERF] = "erf",
    [CVM_EXPR_SQRT] = "sqrt",
    [CVM_EXPR_INVERSE_FOURTH_ROOT] = "inverse_fourth_root",
    [CVM_EXPR_WHERE_POSITIVE] = "where_positive",
};

static void print_expr(const CvmExpr *expr, FILE *stream) {
    switch (expr->kind) {
    case CVM_EXPR_CONSTANT:
        fprintf(stream, "%.9g", expr->value);
        return;
    case CVM_EXPR_ACCUMULATOR:
    case CVM_EXPR_PLACE:
        fputs(expr_names[expr->kind], stream);
        return;
    case CVM_EXPR_UNIFORM:
        fprintf(stream, "uniform %d stream %" PRId64, expr->index, expr->stream);
        return;
    case CVM_EXPR_WINDOW_SUM:
        fprintf(stream, "window %d reach %" PRId64, expr->index, expr->reach);
        return;
    case CVM_EXPR_LOAD:
    case CVM_EXPR_SHARE:
    case CVM_EXPR_ROW_SCALAR:
    case CVM_EXPR_ROW_VALUE:
    case CVM_EXPR_IS_TARGET:
        fprintf(stream, "%s %d", expr_names[expr->kind], expr->index);
        return;
    default:
        break;
    }
    fprintf(stream, "%s(", expr_names[expr->kind]);
    const CvmExpr *operands[] = {expr->a, expr->b, expr->c};
    for (int i = 0; i < 3 && operands[i]; i++) {
        if (i)
            fputs(", ", stream);
        print_expr(operands[i], stream);
    }
    fputc(')', stream);
}

static void print_buffers(const CvmKernel *kernel, FILE *stream) {
    int strides = kernel->form == CVM_KERNEL_ROWS ? 3
                  : kernel->form == CVM_KERNEL_REDUCE || kernel->form == CVM_KERNEL_WINOGRAD ||
                          kernel->form == CVM_KERNEL_LINEAR || kernel->form == CVM_KERNEL_BLAS ||
                          kernel->form == CVM_KERNEL_WINOGRAD_ROWS
                      ? kernel->axis_count
                      : kernel->form == CVM_KERNEL_WEIGHTS;
    for (int i = 0; i < kernel->buffer_count; i++) {
        const CvmKernelBuffer *buffer = &kernel->buffers[i];
        fprintf(stream, "  buffer %d %s %s%s", i, cvm_dtype_name(buffer->dtype),
                buffer->written ? "write" : "read",
                buffer->pooled   ? " pooled"
                : buffer->beside ? " beside"
                                 : "");
        for (int k = 0; k < (buffer->beside ? 1 : strides); k++)
            fprintf(stream, " %" PRId64, buffer->strides[k]);
        fputc('\n', stream);
    }
}

static void print_mix(const CvmMix *mix, FILE *stream) {
    fprintf(stream,
            " groups of %" PRId64 " to %" PRId64 " from blocks of %" PRId64 ", %" PRId64 " apart",
            mix->inputs, mix->outputs, mix->lanes, mix->block);
}

static const char *const combines[] = {"map", "products", "sum", "maximum"};

static void print_pooling(const CvmKernel *kernel, FILE *stream) {
    if (kernel->pooling.combine == CVM_COMBINE_NONE)
        return;
    fprintf(stream, "  pool %s of ", combines[kernel->pooling.combine]);
    print_expr(kernel->pooling.value, stream);
    fputc('\n', stream);
}

/* The same for kernels whose axes are not part of the text. */
static void print_windows(const CvmKernel *kernel, FILE *stream) {
    print_pooling(kernel, stream);
    if (kernel->pooling.combine != CVM_COMBINE_NONE)
        fprintf(stream, "  windows of %" PRId64 " x %" PRId64 "\n", kernel->pooling.sizes[0],
                kernel->pooling.sizes[1]);
}

static void print_reduce(const CvmKernel *kernel, FILE *stream) {
    const CvmSchedule *schedule = &kernel->schedule;
    for (int i = 0; i < kernel->axis_count; i++) {
        const CvmAxis *axis = &kernel->axes[i];
        fprintf(stream, "  %s %s %" PRId64, axis->reduce ? "reduce" : "axis", axis->name,
                axis->extent);
        for (int k = 0; k < 2 && kernel->pooling.combine != CVM_COMBINE_NONE; k++)
            if (kernel->pooling.axes[k] == i)
                fprintf(stream, " pooled %" PRId64, kernel->pooling.sizes[k]);
        if (!axis->reduce && schedule->tile[i] > 1)
            fprintf(stream, " tile %" PRId64, schedule->tile[i]);
        if (i == schedule->vector_axis)
            fputs(" vector", stream);
        if (i == schedule->first)
            fputs(" first", stream);
        if (kernel->element_strides[i])
            fprintf(stream, " elements %" PRId64, kernel->element_strides[i]);
        if (axis->reduce && i == schedule->unrolled)
            fputs(" unrolled", stream);
        fputc('\n', stream);
    }
    for (int i = 0; i < kernel->window_count; i++) {
        const CvmWindow *window = &kernel->windows[i];
        fprintf(stream,
                "  window (%" PRId64 " %s + %" PRId64 " %s + %" PRId64 ") / %" PRId64
                " below %" PRId64 " stride %" PRId64,
                window->position_scale, kernel->axes[window->position].name, window->tap_scale,
                kernel->axes[window->tap].name, window->offset, window->divisor, window->extent,
                window->stride);
        if (window->table)
            fputs(" tabled", stream);
        if (i == schedule->slide)
            fprintf(stream, " slide %" PRId64, schedule->slide_step);
        fputc('\n', stream);
    }
    fprintf(stream, "  combine %s %d %d", combines[kernel->combine], kernel->a, kernel->b);
    if (schedule->broadcast)
        fputs(" broadcast", stream);
    if (kernel->fold)
        fprintf(stream, " folded by %" PRId64 " along %d", kernel->fold, kernel->folded);
    if (kernel->mix.inputs) {
        print_mix(&kernel->mix, stream);
        fprintf(stream, " along %d %d step %" PRId64, kernel->mixed.output, kernel->mixed.input,
                kernel->mixed.step);
    }
    if (schedule->strip)
        fprintf(stream, " strips of %" PRId64 " in chunks of %" PRId64 " scratch %d",
                schedule->strip, schedule->strip_rows, schedule->strip_scratch);
    if (schedule->ahead)
        fprintf(stream, " fetching %" PRId64 " ahead", schedule->ahead);
    if (kernel->term) {
        fputs(" of ", stream);
        print_expr(kernel->term, stream);
    }
    fputc('\n', stream);
    print_pooling(kernel, stream);
}

static void print_side(const CvmKernel *kernel, FILE *stream) {
    const CvmSideSum *side = &kernel->side;
    if (side->buffer < 0)
        return;
    fprintf(stream,
            "  side sum of %d %s blocks %" PRId64 " step %" PRId64 " run %" PRId64
            " channels %" PRId64,
            side->buffer, side->across ? "across" : "along", side->blocks, side->block_step,
            side->run, side->channel_step);
    for (int i = 0; i < kernel->axis_count; i++)
        fprintf(stream, " %" PRId64, side->steps[i]);
    fputc('\n', stream);
    for (int i = 0; i < side->result_count; i++) {
        fprintf(stream, "  beside %d = ", side->results[i].buffer);
        print_expr(side->results[i].value, stream);
        fputc('\n', stream);
    }
}

static void print_tables(const CvmKernel *kernel, FILE *stream) {
    for (int i = 0; i < CVM_MAX_WINDOWS; i++) {
        const CvmWindowTable *table = kernel->tables[i];
        for (int64_t k = 0; table && k < table->count; k++) {
            fprintf(stream, k ? " %.9g" : "  table %.9g", (double)table->shares[k]);
            if (table->first)
                fprintf(stream, " at %" PRId64 " to %" PRId64, table->first[k], table->last[k]);
        }
        if (table)
            fputc('\n', stream);
    }
}

static void print_rows(const CvmKernel *kernel, FILE *stream) {
    static const char *const kinds[] = {"maximum", "sum", "value", "store"};
    static const char *const vectors[] = {"along", "across", "in blocks"};
    fprintf(stream,
            "  pictures %" PRId64 " positions %" PRId64 " columns %" PRId64
            " %s, strips of %" PRId64 "\n",
            kernel->pictures, kernel->positions, kernel->columns, vectors[kernel->vectors],
            kernel->strip);
    for (int i = 0; i < kernel->statement_count; i++) {
        const CvmStatement *statement = &kernel->statements[i];
        fprintf(stream, "  %d = %s ", i, kinds[statement->kind]);
        print_expr(statement->value, stream);
        if (statement->buffer >= 0)
            fprintf(stream, " to %d", statement->buffer);
        fputc('\n', stream);
    }
}

static void print_scatter(const CvmScatter *scatter, FILE *stream) {
    fprintf(stream, "  planes %" PRId64 " lanes %" PRId64 " %s dy %d index %d\n", scatter->planes,
            scatter->lanes, scatter->maximum ? "maximum" : "mean", scatter->gradient,
            scatter->index);
    for (int i = 0; i < 2; i++)
        fprintf(stream,
                "  %s kernel %" PRId64 " stride %" PRId64 " pad %" PRId64 " input %" PRId64
                " output %" PRId64 "\n",
                i ? "width" : "height", scatter->kernel[i], scatter->stride[i], scatter->pad[i],
                scatter->input[i], scatter->output[i]);
}

static void print_winograd_grad(const CvmWinogradGrad *grad, FILE *stream) {
    fprintf(stream,
            "  tile %" PRId64 " taps %" PRId64 " pictures %" PRId64 " groups %" PRId64
            " inputs %" PRId64 " outputs %" PRId64 " lanes %" PRId64 " scratch %d\n",
            grad->tile, grad->taps, grad->pictures, grad->groups, grad->inputs, grad->outputs,
            grad->lanes, grad->scratch);
    for (int i = 0; i < 2; i++)
        fprintf(stream, "  %s input %" PRId64 " output %" PRId64 " pad %" PRId64 "\n",
                i ? "width" : "height", grad->input[i], grad->output[i], grad->pad[i]);
    fprintf(stream,
            "  item of %" PRId64 " inputs and %" PRId64 " outputs, step %" PRId64
            ", blocks of %" PRId64 " tiles, %" PRId64 " inputs at once, in rows of %" PRId64 "\n",
            grad->item_inputs, grad->item_outputs, grad->step, grad->block, grad->channels,
            grad->row);
}

static void print_weights(const CvmWeightGrad *weights, FILE *stream) {
    fprintf(stream,
            "  pictures %" PRId64 " groups %" PRId64 " inputs %" PRId64 " run %" PRId64
            " outputs %" PRId64 "%s",
            weights->pictures, weights->groups, weights->inputs, weights->run, weights->outputs,
            weights->unpacks   ? " unpacked"
            : weights->applies ? " applied"
                               : "");
    if (weights->mix.inputs)
        print_mix(&weights->mix, stream);
    fputc('\n', stream);
    for (int i = 0; i < 2; i++)
        fprintf(stream,
                "  %s kernel %" PRId64 " stride %" PRId64 " pad %" PRId64 " dilation %" PRId64
                " input %" PRId64 " output %" PRId64 "\n",
                i ? "width" : "height", weights->kernel[i], weights->stride[i], weights->pad[i],
                weights->dilation[i], weights->in_size[i], weights->size[i]);
    fprintf(stream,
            "  input steps %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
            "\n",
            weights->in_picture, weights->in_group, weights->in_block, weights->in_inside,
            weights->in_row, weights->in_column);
    fprintf(stream,
            "  tile %" PRId64 " outputs %" PRId64 " inputs %" PRId64 " taps %" PRId64
            " copies, chunks of %" PRId64 " rows, items of %" PRId64 " tiles, %" PRId64 " parts\n",
            weights->tile_outputs, weights->tile_inputs, weights->tile_taps, weights->copies,
            weights->chunk_rows, weights->item_tiles, weights->parts);
}

static void print_winograd(const CvmKernel *kernel, FILE *stream) {
    const CvmWinograd *winograd = &kernel->winograd;
    fprintf(stream,
            "  tile %" PRId64 " taps %" PRId64 " pictures %" PRId64 " groups of channels %" PRId64
            " inputs %" PRId64 " outputs %" PRId64 " step %" PRId64 " lanes %" PRId64 "\n",
            winograd->tile, winograd->taps, winograd->pictures, winograd->channel_groups,
            winograd->inputs, winograd->outputs, winograd->step, winograd->lanes);
    if (kernel->form == CVM_KERNEL_WINOGRAD_WEIGHT)
        return;
    for (int i = 0; i < 2; i++)
        fprintf(stream, "  %s input %" PRId64 " output %" PRId64 " pad %" PRId64 "\n",
                i ? "width" : "height", winograd->input[i], winograd->output[i], winograd->pad[i]);
    fprintf(stream,
            "  group %" PRId64 " groups %" PRId64 " parts %" PRId64 " together %" PRId64
            " a %d b %d scratch %d\n",
            winograd->group, winograd->groups, winograd->parts, winograd->together, kernel->a,
            kernel->b, winograd->scratch);
    print_windows(kernel, stream);
    if (winograd->transforms)
        fprintf(stream, "  filters transformed for %" PRId64 " inputs at once\n", winograd->chunk);
    else if (winograd->chunk < winograd->inputs)
        fprintf(stream, "  sums of %" PRId64 " inputs\n", winograd->chunk);
}

static void print_winograd_rows(const CvmKernel *kernel, FILE *stream) {
    const CvmWinogradRows *rows = &kernel->winograd_rows;
    fprintf(stream,
            "  tile %" PRId64 " taps %" PRId64 " kernel %" PRId64 " blocks %" PRId64
            " lanes %" PRId64 " inputs %" PRId64 " outputs %" PRId64 "%s%s a %d b %d scratch %d\n",
            rows->tile, rows->taps, rows->kernel, rows->blocks, rows->lanes, rows->inputs,
            rows->outputs, rows->back ? " back" : "", rows->padded ? " padded" : "", kernel->a,
            kernel->b, rows->scratch);
    for (int i = 0; i < 2; i++)
        fprintf(stream, "  %s input %" PRId64 " output %" PRId64 " pad %" PRId64 "\n",
                i ? "width" : "height", rows->input[i], rows->output[i], rows->pad[i]);
    fprintf(stream,
            "  %" PRId64 " x %" PRId64 " sums, bands of %" PRId64 " rows, chunks of %" PRId64
            ", %" PRId64 " outputs an item\n",
            rows->tiles, rows->channels, rows->band, rows->chunk, rows->item_outputs);
    print_windows(kernel, stream);
}

static void print_linear(const CvmKernel *kernel, FILE *stream) {
    const CvmLinear *linear = &kernel->linear;
    fprintf(stream,
            "  batch %" PRId64 " inputs %" PRId64 " features %" PRId64 " a %d b %d scratch %d\n"
            "  tile %" PRId64 " x %" PRId64 " pictures %" PRId64 " block %" PRId64
            " together %" PRId64 " chunk %" PRId64 " ahead %" PRId64 "%s\n",
            linear->batch, linear->inputs, linear->features, kernel->a, kernel->b, linear->scratch,
            linear->tile_pictures, linear->tile_features, linear->pictures, linear->block,
            linear->together, linear->chunk, linear->ahead, linear->dots ? " dots" : "");
}

static void print_blas(const CvmKernel *kernel, FILE *stream) {
    const CvmLinear *linear = &kernel->linear;
    fprintf(stream,
            "  batch %" PRId64 " inputs %" PRId64 " features %" PRId64
            " a %d b %d scratch %d block %" PRId64 "\n",
            linear->batch, linear->inputs, linear->features, kernel->a, kernel->b, linear->scratch,
            linear->block);
}

static void print_relayout(const CvmRelayout *relayout, FILE *stream) {
    fprintf(stream,
            "  rows %" PRId64 " inner %" PRId64 " lanes %" PRId64 " taps %" PRId64 " run %" PRId64
            " %s\n",
            relayout->rows, relayout->inner, relayout->lanes, relayout->taps, relayout->run,
            relayout->to_plain ? "to plain" : "from plain");
}

static void print_turn(const CvmTurn *turn, FILE *stream) {
    fprintf(stream,
            "  groups %" PRId64 " inputs %" PRId64 " outputs %" PRId64 " taps %" PRId64
            " of %" PRId64 " x %" PRId64 "\n",
            turn->groups, turn->inputs, turn->outputs, turn->taps, turn->vectors, turn->lanes);
}

static void print_copies(const CvmKernel *kernel, FILE *stream) {
    for (int i = 0; i < kernel->copy_count; i++) {
        const CvmCopy *copy = &kernel->copies[i];
        fprintf(stream,
                "  copy %" PRId64 " x %" PRId64 " from %d step %" PRId64 " offset %" PRId64
                " to %d step %" PRId64 " offset %" PRId64 "\n",
                copy->rows, copy->length, copy->from, copy->from_step, copy->from_offset, copy->to,
                copy->to_step, copy->to_offset);
    }
}

/* What kernels of this form have. */
static void print_form(const CvmKernel *kernel, FILE *stream) {
    switch (kernel->form) {
    case CVM_KERNEL_REDUCE:
        print_reduce(kernel, stream);
        break;
    case CVM_KERNEL_ROWS:
        print_rows(kernel, stream);
        break;
    case CVM_KERNEL_SCATTER:
        print_scatter(&kernel->scatter, stream);
        break;
    case CVM_KERNEL_WINOGRAD:
    case CVM_KERNEL_WINOGRAD_WEIGHT:
        print_winograd(kernel, stream);
        break;
    case CVM_KERNEL_LINEAR:
        print_linear(kernel, stream);
        break;
    case CVM_KERNEL_BLAS:
        print_blas(kernel, stream);
        break;
    case CVM_KERNEL_RELAYOUT:
        print_relayout(&kernel->relayout, stream);
        break;
    case CVM_KERNEL_TURN:
        print_turn(&kernel->turn, stream);
        break;
    case CVM_KERNEL_WINOGRAD_ROWS:
    case CVM_KERNEL_WINOGRAD_ROWS_GRAD:
        print_winograd_rows(kernel, stream);
        break;
    case CVM_KERNEL_WINOGRAD_GRAD:
        print_winograd_grad(&kernel->winograd_grad, stream);
        break;
    case CVM_KERNEL_WEIGHTS:
        print_weights(&kernel->weights, stream);
        break;
    case CVM_KERNEL_PROBE:
        fprintf(stream, "  %s %" PRId64 "\n", kernel->probe.reads ? "reads" : "multiplies",
                kernel->probe.length);
        break;
    case CVM_KERNEL_COPY:
        print_copies(kernel, stream);
        break;
    }
}

void cvm_kernel_print(const CvmKernel *kernel, FILE *stream) {
    static const char *const forms[] = {
        [CVM_KERNEL_REDUCE] = "reduce",
        [CVM_KERNEL_ROWS] = "rows",
        [CVM_KERNEL_SCATTER] = "scatter",
        [CVM_KERNEL_WINOGRAD] = "winograd",
        [CVM_KERNEL_RELAYOUT] = "relayout",
        [CVM_KERNEL_WINOGRAD_WEIGHT] = "winograd_weight",
        [CVM_KERNEL_COPY] = "copy",
        [CVM_KERNEL_TURN] = "turn",
        [CVM_KERNEL_WEIGHTS] = "weights",
        [CVM_KERNEL_PROBE] = "probe",
        [CVM_KERNEL_BLAS] = "blas",
        [CVM_KERNEL_LINEAR] = "linear",
        [CVM_KERNEL_WINOGRAD_GRAD] = "winograd_grad",
        [CVM_KERNEL_WINOGRAD_ROWS] = "winograd_rows",
        [CVM_KERNEL_WINOGRAD_ROWS_GRAD] = "winograd_rows_grad",
    };
    fprintf(stream, "kernel %s lanes %d extent %" PRId64 "\n", forms[kernel->form],
            kernel->schedule.lanes, kernel->extent);
    print_buffers(kernel, stream);
    print_form(kernel, stream);
    print_tables(kernel, stream);
    print_side(kernel, stream);
    for (int i = 0; i < kernel->result_count; i++) {
        fprintf(stream, "  result %d = ", kernel->results[i].buffer);
        print_expr(kernel->results[i].value, stream);
        fputc('\n', stream);
    }
}

char *cvm_kernel_text(const CvmKernel *kernel, CvmArena *arena) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    cvm_kernel_print(kernel, stream);
    fclose(stream);
    char *copy = cvm_arena_copy(arena, text, size);
    free(text);
    return copy;
}
