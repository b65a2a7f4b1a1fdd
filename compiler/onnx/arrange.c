/* See arrange.h. The tensor that flows is followed from layer to layer. Where several layers read
 * it, short side branches become `let`s, longer ones are put off (the tensor gets a name to come
 * back to), and the longest goes on. A join (add, concat) is applied once all of its operands are
 * named or flow; where they are not yet, the flow gets a name and stops there. */
#include "compiler/onnx/arrange.h"

#include <string.h>

enum { LONGEST_LET = 4 };

typedef struct Arranger {
    const CvmOnnxNet *net;
    CvmArena *arena;
    CvmOnnxStatements out;
    bool *needed, *done; /* by layer */
    int *missing;        /* by layer, of joins: operands that have no name yet */
    int *readers;        /* of values: readers[first[v] .. first[v + 1]) are layers, each once */
    int *first;
    int *pending; /* a stack of layers to apply later */
    int pending_count;
    int flowing; /* the value that `it` is */
} Arranger;

static bool reads(const CvmOnnxLayer *layer, int value, int before) {
    for (int i = 0; i < before; i++)
        if (layer->inputs[i] == value)
            return true;
    return false;
}

static void mark_needed(Arranger *arranger) {
    const CvmOnnxNet *net = arranger->net;
    if (net->output > 0)
        arranger->needed[net->output - 1] = true;
    for (int i = net->count - 1; i >= 0; i--) /* operands come before */
        for (int k = 0; arranger->needed[i] && k < net->layers[i].input_count; k++)
            if (net->layers[i].inputs[k] > 0)
                arranger->needed[net->layers[i].inputs[k] - 1] = true;
}

/* Who reads which value, as one array. */
static void list_readers(Arranger *arranger) {
    const CvmOnnxNet *net = arranger->net;
    int *first = arranger->first, total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < net->count; i++) {
            const CvmOnnxLayer *layer = &net->layers[i];
            for (int k = 0; arranger->needed[i] && k < layer->input_count; k++) {
                if (reads(layer, layer->inputs[k], k))
                    continue;
                if (pass == 0)
                    first[layer->inputs[k] + 2]++, total++;
                else
                    arranger->readers[first[layer->inputs[k] + 1]++] = i;
                arranger->missing[i] += pass;
            }
        }
        if (pass == 0) {
            for (int v = 0; v <= net->count; v++)
                first[v + 2] += first[v + 1];
            arranger->readers = cvm_arena_array(arranger->arena, (size_t)total + 1, sizeof(int));
        }
    }
}

static int reader_count(const Arranger *arranger, int value) {
    return arranger->first[value + 1] - arranger->first[value];
}

static int reader(const Arranger *arranger, int value, int i) {
    return arranger->readers[arranger->first[value] + i];
}

static bool is_join(const Arranger *arranger, int layer) {
    return arranger->net->layers[layer].takes_tensors;
}

/* --- statements --- */

static void emit(Arranger *arranger, CvmOnnxStatement statement) {
    arranger->out.list[arranger->out.count++] = statement;
}

static void apply(Arranger *arranger, int layer) {
    emit(arranger,
         (CvmOnnxStatement){.kind = CVM_ONNX_APPLY, .layer = layer, .flowing = arranger->flowing});
    arranger->done[layer] = true;
    arranger->flowing = layer + 1;
}

/* Binds a value, which makes it an operand that joins can name. */
static void bind(Arranger *arranger, int value, int layer, int layer_count, const char *name) {
    if (arranger->out.binding[value] >= 0)
        return;
    arranger->out.binding[value] = arranger->out.count;
    emit(arranger, (CvmOnnxStatement){.kind = CVM_ONNX_LET,
                                      .layer = layer,
                                      .layer_count = layer_count,
                                      .value = value,
                                      .name = name});
    for (int i = 0; i < reader_count(arranger, value); i++) {
        int join = reader(arranger, value, i);
        if (is_join(arranger, join) && --arranger->missing[join] == 0)
            arranger->pending[arranger->pending_count++] = join;
    }
}

/* --- branches --- */

/* How many layers follow one another from this one on, without branch or join; and the value at the
 * end. */
static int branch_length(const Arranger *arranger, int layer, int most, int *end) {
    int length = 1;
    *end = layer + 1;
    while (length < most && reader_count(arranger, *end) == 1) {
        int next = reader(arranger, *end, 0);
        if (is_join(arranger, next))
            break;
        arranger->out.next[*end - 1] = next;
        *end = next + 1;
        length++;
    }
    return length;
}

/* A short branch to a join as a `let`; false where it is none. */
static bool let_branch(Arranger *arranger, int layer) {
    int end, length = branch_length(arranger, layer, LONGEST_LET + 1, &end);
    if (length > LONGEST_LET || reader_count(arranger, end) != 1)
        return false;
    int join = reader(arranger, end, 0);
    for (int i = 0, k = layer; i < length; i++, k = arranger->out.next[k])
        arranger->done[k] = true;
    bool adds = !strcmp(cvm_op_info(arranger->net->layers[join].op)->name, "add");
    bind(arranger, end, layer, length, adds ? "skip" : "branch");
    return true;
}

/* The layer after a branching that goes on as the main flow: the one with the longest way to its
 * next branching or join, the last of equal ones; -1: only joins read the value. */
static int choose_main(const Arranger *arranger, int value) {
    enum { FAR = 1000 };
    int best = -1, best_length = 0;
    for (int i = 0; i < reader_count(arranger, value); i++) {
        int layer = reader(arranger, value, i), end;
        if (is_join(arranger, layer))
            continue;
        int length = branch_length(arranger, layer, FAR, &end);
        if (length >= best_length) {
            best = layer;
            best_length = length;
        }
    }
    return best;
}

/* Several read the value that flows: names it where that is needed, deals with the side branches,
 * and returns the layer to go on with; -1: none. */
static int branch(Arranger *arranger) {
    int value = arranger->flowing, main = choose_main(arranger, value), put_off = 0;
    bool joined = false;
    for (int i = 0; i < reader_count(arranger, value); i++)
        joined |= is_join(arranger, reader(arranger, value, i));
    if (joined)
        bind(arranger, value, -1, 0, "skip");
    for (int i = 0; i < reader_count(arranger, value); i++) {
        int layer = reader(arranger, value, i);
        if (!is_join(arranger, layer) && layer != main && !let_branch(arranger, layer))
            put_off++;
    }
    if (put_off > 0)
        bind(arranger, value, -1, 0, "fork");
    for (int i = reader_count(arranger, value) - 1; i >= 0 && put_off > 0; i--) {
        int layer = reader(arranger, value, i);
        if (!is_join(arranger, layer) && layer != main && !arranger->done[layer])
            arranger->pending[arranger->pending_count++] = layer;
    }
    return main;
}

/* Follows the flow until it stops. */
static void follow(Arranger *arranger) {
    for (;;) {
        int value = arranger->flowing, count = reader_count(arranger, value), next = -1;
        if (count == 1 && !is_join(arranger, reader(arranger, value, 0))) {
            next = reader(arranger, value, 0);
        } else if (count == 1) {
            int join = reader(arranger, value, 0);
            if (arranger->missing[join] == 1 && arranger->out.binding[value] < 0)
                next = join; /* only the one that flows has no name */
            else
                bind(arranger, value, -1, 0, "branch");
        } else if (count > 0) {
            next = branch(arranger);
        }
        if (next < 0 || arranger->done[next])
            return;
        apply(arranger, next);
    }
}

/* Applies what was put off, as far as it was not done meanwhile. */
static void finish_pending(Arranger *arranger) {
    while (arranger->pending_count > 0) {
        int layer = arranger->pending[--arranger->pending_count];
        int from = arranger->net->layers[layer].inputs[0];
        if (arranger->done[layer])
            continue;
        if (!is_join(arranger, layer) && from != arranger->flowing) {
            emit(arranger, (CvmOnnxStatement){.kind = CVM_ONNX_GO_ON, .value = from});
            arranger->flowing = from;
        }
        apply(arranger, layer);
        follow(arranger);
    }
}

CvmOnnxStatements cvm_onnx_arrange(const CvmOnnxNet *net, CvmArena *arena) {
    size_t count = (size_t)net->count + 3;
    Arranger arranger = {
        .net = net,
        .arena = arena,
        .out = {.list = cvm_arena_array(arena, 3 * count, sizeof(CvmOnnxStatement)),
                .next = cvm_arena_array(arena, count, sizeof(int)),
                .binding = cvm_arena_array(arena, count, sizeof(int))},
        .needed = cvm_arena_array(arena, count, sizeof(bool)),
        .done = cvm_arena_array(arena, count, sizeof(bool)),
        .missing = cvm_arena_array(arena, count, sizeof(int)),
        .first = cvm_arena_array(arena, count + 1, sizeof(int)),
        .pending = cvm_arena_array(arena, 2 * count, sizeof(int)),
    };
    memset(arranger.out.binding, 0xff, count * sizeof(int)); /* -1 */
    mark_needed(&arranger);
    list_readers(&arranger);
    follow(&arranger);
    finish_pending(&arranger);
    if (arranger.flowing != net->output)
        emit(&arranger, (CvmOnnxStatement){.kind = CVM_ONNX_GO_ON, .value = net->output});
    return arranger.out;
}
