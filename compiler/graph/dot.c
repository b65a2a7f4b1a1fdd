/* The graph for Graphviz: nodes with their op, name and type; fused groups as boxes; parameters as
 * ellipses, so that the flow of pictures stands out. */
#include "compiler/graph/op.h"

static void print_escaped(const char *text, FILE *stream) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
}

static void print_node(const CvmNode *node, FILE *stream) {
    char shape[128];
    fprintf(stream, "  n%d [label=\"%s", node->id, cvm_op_info(node->op)->name);
    if (node->origin.name) {
        fputs("\\n", stream);
        print_escaped(node->origin.name, stream);
    }
    fprintf(stream, "\\n%s\"", cvm_shape_text(&node->type.shape, shape, sizeof shape));
    if (cvm_op_info(node->op)->class == CVM_CLASS_SOURCE)
        fputs(", shape=ellipse, color=grey", stream);
    fputs("];\n", stream);
}

void cvm_graph_print_dot(const CvmGraph *graph, FILE *stream) {
    int open = CVM_NO_GROUP;
    fputs("digraph \"", stream);
    print_escaped(graph->name, stream);
    fputs("\" {\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n", stream);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->group != open) {
            if (open != CVM_NO_GROUP)
                fputs("  }\n", stream);
            if (node->group != CVM_NO_GROUP)
                fprintf(stream, "  subgraph cluster_%d { style=filled; color=lightgrey;\n",
                        node->group);
            open = node->group;
        }
        print_node(node, stream);
    }
    if (open != CVM_NO_GROUP)
        fputs("  }\n", stream);
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            fprintf(stream, "  n%d -> n%d;\n", graph->nodes[i]->inputs[k]->id, graph->nodes[i]->id);
    for (int i = 0; i < graph->output_count; i++) {
        fprintf(stream, "  output%d [shape=plaintext, label=\"", i);
        print_escaped(graph->outputs[i].name, stream);
        fprintf(stream, "\"];\n  n%d -> output%d;\n", graph->outputs[i].value->id, i);
    }
    fputs("}\n", stream);
}
