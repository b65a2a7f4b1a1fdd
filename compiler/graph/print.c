/* The graph's text form; parse.c reads it back, docs/graph.md describes it. */
#include "compiler/graph/layout.h"
#include "compiler/graph/op.h"

#include <inttypes.h>
#include <string.h>

/* Names stand as they are when they need no quotes. */
static bool is_plain_name(const char *name) {
    if (!*name)
        return false;
    for (; *name; name++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.", *name))
            return false;
    return true;
}

static void print_string(const char *text, FILE *stream) {
    fputc('"', stream);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(stream, "\\%c", byte);
        else if (byte < 32)
            fprintf(stream, "\\x%02x", byte);
        else
            fputc(byte, stream);
    }
    fputc('"', stream);
}

static void print_name(const char *name, FILE *stream) {
    if (is_plain_name(name))
        fputs(name, stream);
    else
        print_string(name, stream);
}

static void print_integers(const int64_t *integers, int count, FILE *stream) {
    fputc('[', stream);
    for (int i = 0; i < count; i++)
        fprintf(stream, "%s%" PRId64, i ? ", " : "", integers[i]);
    fputc(']', stream);
}

static void print_attributes(const CvmNode *node, FILE *stream) {
    const CvmAttributeInfo *rows = cvm_op_info(node->op)->attributes;
    if (rows[0].kind == CVM_ATTRIBUTE_END)
        return;
    fputs(" {", stream);
    for (int i = 0; rows[i].kind != CVM_ATTRIBUTE_END; i++) {
        const CvmAttribute *value = &node->attributes[i];
        fprintf(stream, "%s%s=", i ? ", " : "", rows[i].name);
        switch (rows[i].kind) {
        case CVM_ATTRIBUTE_SIZE:
            print_integers(value->integers, 2, stream);
            break;
        case CVM_ATTRIBUTE_PAD:
            print_integers(value->integers, 4, stream);
            break;
        case CVM_ATTRIBUTE_REAL:
            fprintf(stream, "%.17g", value->real);
            break;
        case CVM_ATTRIBUTE_TEXT:
            print_string(value->text ? value->text : "", stream);
            break;
        default:
            fprintf(stream, "%" PRId64, value->integers[0]);
            break;
        }
    }
    fputc('}', stream);
}

static void print_type(const CvmType *type, FILE *stream) {
    fprintf(stream, " : %s", cvm_dtype_name(type->dtype));
    print_integers(type->shape.sizes, type->shape.rank, stream);
    if (type->layout != CVM_LAYOUT_PLAIN) {
        char layout[CVM_LAYOUT_TEXT];
        fprintf(stream, " %s", cvm_layout_text(type, layout));
    }
}

static void print_node(const CvmNode *node, bool with_places, const char *indent, FILE *stream) {
    fprintf(stream, "%s%%%d = %s", indent, node->id, cvm_op_info(node->op)->name);
    if (node->origin.name && *node->origin.name) {
        fputc(' ', stream);
        print_name(node->origin.name, stream);
    }
    if (cvm_op_info(node->op)->class != CVM_CLASS_SOURCE) {
        fputs(" (", stream);
        for (int i = 0; i < node->input_count; i++)
            fprintf(stream, "%s%%%d", i ? ", " : "", node->inputs[i]->id);
        fputc(')', stream);
    }
    print_attributes(node, stream);
    print_type(&node->type, stream);
    const CvmSpan *span = &node->origin.span;
    if (with_places && span->source) {
        fputs(" @ ", stream);
        print_string(span->source->path, stream);
        fprintf(stream, ":%d:%d", span->first_line, span->first_column);
    }
    fputc('\n', stream);
}

void cvm_graph_print(const CvmGraph *graph, bool with_places, FILE *stream) {
    int open = CVM_NO_GROUP;
    fputs("graph ", stream);
    print_name(graph->name, stream);
    fputs(" {\n", stream);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->group != open) {
            if (open != CVM_NO_GROUP)
                fputs("  }\n", stream);
            if (node->group != CVM_NO_GROUP)
                fprintf(stream, "  group %d {\n", node->group);
            open = node->group;
        }
        print_node(node, with_places, open == CVM_NO_GROUP ? "  " : "    ", stream);
    }
    if (open != CVM_NO_GROUP)
        fputs("  }\n", stream);
    for (int i = 0; i < graph->output_count; i++) {
        fputs("  output ", stream);
        print_name(graph->outputs[i].name, stream);
        fprintf(stream, " = %%%d\n", graph->outputs[i].value->id);
    }
    for (int i = 0; i < graph->update_count; i++) {
        fputs("  update ", stream);
        print_name(graph->updates[i].name, stream);
        fprintf(stream, " = %%%d\n", graph->updates[i].value->id);
    }
    fputs("}\n", stream);
}
