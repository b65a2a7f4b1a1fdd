/* See plan_builder.h. */
#include "compiler/plan_builder.h"

#include "compiler/passes/pass.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct Builder {
    const CvmGraph *graph;
    const CvmMemoryPlan *memory;
    CvmArena *arena;
    CvmSlot *slots;
    int slot_count;
} Builder;

static const char *copy(Builder *builder, const char *text) {
    return cvm_arena_copy(builder->arena, text, strlen(text));
}

static int find_slot(const Builder *builder, const char *name) {
    for (int i = 0; i < builder->slot_count; i++)
        if (!strcmp(builder->slots[i].name, name))
            return i;
    return -1;
}

static CvmSlotKind slot_kind(const char *kind) {
    return !strcmp(kind, "weight")      ? CVM_SLOT_PARAMETER
           : !strcmp(kind, "statistic") ? CVM_SLOT_STATISTIC
           : !strcmp(kind, "gradient")  ? CVM_SLOT_GRADIENT
                                        : CVM_SLOT_OPTIMIZER;
}

CvmSlot cvm_slot_of_parameter(const CvmNode *parameter) {
    return (CvmSlot){
        .name = parameter->origin.name,
        .kind = slot_kind(cvm_node_attribute(parameter, "kind")->text),
        .dtype = parameter->type.dtype,
        .shape = parameter->type.shape,
        .bound = cvm_node_attribute(parameter, "bound")->real,
        .fill = cvm_node_attribute(parameter, "fill")->real,
        .lanes = parameter->type.layout == CVM_LAYOUT_FILTER ? parameter->type.lanes : 0,
    };
}

static void add_slots(Builder *builder) {
    builder->slots =
        cvm_arena_array(builder->arena, (size_t)builder->graph->node_count + 1, sizeof(CvmSlot));
    for (int i = 0; i < builder->graph->node_count; i++) {
        const CvmNode *node = builder->graph->nodes[i];
        if (node->op != CVM_OP_PARAMETER)
            continue;
        CvmSlot *slot = &builder->slots[builder->slot_count++];
        *slot = cvm_slot_of_parameter(node);
        slot->name = copy(builder, slot->name);
    }
}

/* The parameter whose slot a value is written to or lives in; NULL when it lies in the arena. */
static const char *slot_of(const Builder *builder, const CvmNode *node) {
    while (cvm_op_info(node->op)->class == CVM_CLASS_ALIAS)
        node = node->inputs[0];
    if (node->op == CVM_OP_PARAMETER)
        return node->origin.name;
    for (int i = 0; i < builder->graph->update_count; i++)
        if (builder->graph->updates[i].value == node)
            return builder->graph->updates[i].name;
    return NULL;
}

/* The number of an input among the graph's; -1 where the node is none. */
static int find_input(const Builder *builder, const CvmNode *node) {
    int index = 0;
    for (int i = 0; node->op == CVM_OP_INPUT && i < builder->graph->node_count; i++) {
        if (builder->graph->nodes[i] == node)
            return index;
        index += builder->graph->nodes[i]->op == CVM_OP_INPUT;
    }
    return -1;
}

/* The number of the only output that is the value, under whatever shape; -1 where there is none. A
 * value that is several outputs can lie in one place alone, and so stays in the arena. */
static int find_output(const Builder *builder, const CvmNode *root) {
    int found = -1, count = 0;
    for (int i = 0; i < builder->graph->output_count; i++)
        if (cvm_alias_root(builder->graph->outputs[i].value) == root) {
            found = i;
            count++;
        }
    return count == 1 ? found : -1;
}

static CvmBuffer locate(const Builder *builder, const CvmNode *node) {
    if (!node)
        return (CvmBuffer){CVM_SPACE_SCRATCH, 0};
    const char *slot = slot_of(builder, node);
    if (slot)
        return (CvmBuffer){CVM_SPACE_SLOT, find_slot(builder, slot)};
    CvmNode *root = cvm_alias_root((CvmNode *)node);
    int output = find_output(builder, root), input = find_input(builder, root);
    if (output >= 0)
        return (CvmBuffer){CVM_SPACE_OUTPUT, output};
    if (input >= 0)
        return (CvmBuffer){CVM_SPACE_INPUT, input};
    int64_t offset = builder->memory->offsets[node->id];
    if (offset < 0)
        abort(); /* the memory plan forgot a value that a kernel touches: a bug */
    bool prepared = builder->memory->kept[root->id];
    return (CvmBuffer){prepared ? CVM_SPACE_PREPARED : CVM_SPACE_ARENA, offset};
}

static bool is_prepared(const Builder *builder, const CvmKernel *kernel) {
    for (int i = 0; i < kernel->buffer_count; i++)
        if (kernel->buffers[i].written)
            return builder->memory->prepared[kernel->buffers[i].value->id];
    return false;
}

static CvmCall build_call(Builder *builder, const CvmKernel *kernel) {
    CvmBuffer *buffers =
        cvm_arena_array(builder->arena, (size_t)kernel->buffer_count + 1, sizeof *buffers);
    for (int i = 0; i < kernel->buffer_count; i++)
        buffers[i] = locate(builder, kernel->buffers[i].value);
    return (CvmCall){.kernel = copy(builder, kernel->symbol),
                     .layer = copy(builder, kernel->layer),
                     .buffers = buffers,
                     .buffer_count = kernel->buffer_count,
                     .extent = kernel->extent,
                     .prepares = is_prepared(builder, kernel),
                     .flops = kernel->flops,
                     .bytes = kernel->bytes};
}

static CvmPort build_port(Builder *builder, const char *name, const CvmNode *node) {
    return (CvmPort){.name = copy(builder, name),
                     .dtype = node->type.dtype,
                     .shape = node->type.shape,
                     .offset = builder->memory->offsets[node->id]};
}

CvmPlan *cvm_plan_build(const CvmGraph *graph, const CvmKernelList *kernels,
                        const CvmMemoryPlan *memory, CvmArena *arena) {
    Builder builder = {.graph = graph, .memory = memory, .arena = arena};
    add_slots(&builder);
    CvmCall *calls = cvm_arena_array(arena, (size_t)kernels->count + 1, sizeof *calls);
    for (int i = 0; i < kernels->count; i++)
        calls[i] = build_call(&builder, kernels->kernels[i]);
    int64_t scratch = 0;
    for (int i = 0; i < kernels->count; i++)
        if (kernels->kernels[i]->scratch_bytes > scratch)
            scratch = kernels->kernels[i]->scratch_bytes;
    CvmPort *inputs = cvm_arena_array(arena, (size_t)graph->node_count + 1, sizeof *inputs);
    int input_count = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_INPUT)
            inputs[input_count++] =
                build_port(&builder, graph->nodes[i]->origin.name, graph->nodes[i]);
    CvmPort *outputs = cvm_arena_array(arena, (size_t)graph->output_count + 1, sizeof *outputs);
    for (int i = 0; i < graph->output_count; i++)
        outputs[i] = build_port(&builder, graph->outputs[i].name, graph->outputs[i].value);
    CvmPlan *plan = CVM_NEW(arena, CvmPlan);
    *plan = (CvmPlan){.name = copy(&builder, graph->name),
                      .calls = calls,
                      .call_count = kernels->count,
                      .inputs = inputs,
                      .input_count = input_count,
                      .outputs = outputs,
                      .output_count = graph->output_count,
                      .slots = builder.slots,
                      .slot_count = builder.slot_count,
                      .arena_bytes = memory->arena_bytes,
                      .prepared_bytes = memory->prepared_bytes,
                       .scratch_bytes = scratch,
                       .live_bytes = memory->lower_bound};
    return plan;
}

static void print_ports(const char *what, const CvmPort *ports, int count, FILE *stream) {
    for (int i = 0; i < count; i++) {
        char shape[128];
        fprintf(stream, "  %s %s %s%s at %" PRId64 "\n", what, ports[i].name,
                cvm_dtype_name(ports[i].dtype),
                cvm_shape_text(&ports[i].shape, shape, sizeof shape), ports[i].offset);
    }
}

void cvm_plan_print(const CvmPlan *plan, FILE *stream) {
    static const char *const spaces[] = {
        [CVM_SPACE_ARENA] = "arena",       [CVM_SPACE_SLOT] = "slot",
        [CVM_SPACE_PREPARED] = "prepared", [CVM_SPACE_INPUT] = "input",
        [CVM_SPACE_OUTPUT] = "output",     [CVM_SPACE_SCRATCH] = "scratch"};
    fprintf(stream, "plan %s arena %" PRId64 ", at least %" PRId64 " prepared %" PRId64 "\n",
            plan->name, plan->arena_bytes, plan->live_bytes, plan->prepared_bytes);
    print_ports("input", plan->inputs, plan->input_count, stream);
    print_ports("output", plan->outputs, plan->output_count, stream);
    for (int i = 0; i < plan->slot_count; i++) {
        char shape[128];
        fprintf(stream, "  slot %d %s %s\n", i, plan->slots[i].name,
                cvm_shape_text(&plan->slots[i].shape, shape, sizeof shape));
    }
    for (int i = 0; i < plan->call_count; i++) {
        const CvmCall *call = &plan->calls[i];
        fprintf(stream, "  %s %s for %s items %" PRId64 " (", call->prepares ? "prepare" : "call",
                call->kernel, call->layer, call->extent);
        for (int k = 0; k < call->buffer_count; k++)
            fprintf(stream, "%s%s %" PRId64, k ? ", " : "", spaces[call->buffers[k].space],
                    call->buffers[k].position);
        fputs(")\n", stream);
    }
}
