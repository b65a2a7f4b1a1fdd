/* The graph for Graphviz: nodes with their op, name and type; fused groups as boxes; parameters as
 * ellipses, so that the flow of pictures stands out. Two graphs, before and after the passes, are
 * drawn side by side, each in a box of its own. */
#include "compiler/graph/op.h"

typedef struct Drawing {
    const CvmGraph *graph;
    const char *prefix; /* of node names, to tell the graphs of a pair apart */
    FILE *stream;
} Drawing;

static void print_escaped(const char *text, FILE *stream) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
}

static void print_node(const Drawing *drawing, const CvmNode *node) {
    FILE *stream = drawing->stream;
    char shape[128];
    fprintf(stream, "  %sn%d [label=\"%s", drawing->prefix, node->id, cvm_op_info(node->op)->name);
    if (node->origin.name) {
        fputs("\\n", stream);
        print_escaped(node->origin.name, stream);
    }
    fprintf(stream, "\\n%s\"", cvm_shape_text(&node->type.shape, shape, sizeof shape));
    if (cvm_op_info(node->op)->class == CVM_CLASS_SOURCE)
        fputs(", shape=ellipse, color=grey", stream);
    fputs("];\n", stream);
}

static void print_nodes(const Drawing *drawing) {
    const CvmGraph *graph = drawing->graph;
    FILE *stream = drawing->stream;
    int open = CVM_NO_GROUP;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->group != open) {
            if (open != CVM_NO_GROUP)
                fputs("  }\n", stream);
            if (node->group != CVM_NO_GROUP)
                fprintf(stream,
                        "  subgraph \"cluster_%s%d\" { label=\"\"; style=filled; "
                        "color=lightgrey;\n",
                        drawing->prefix, node->group);
            open = node->group;
        }
        print_node(drawing, node);
    }
    if (open != CVM_NO_GROUP)
        fputs("  }\n", stream);
}

static void print_edges(const Drawing *drawing) {
    const CvmGraph *graph = drawing->graph;
    const char *prefix = drawing->prefix;
    FILE *stream = drawing->stream;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            fprintf(stream, "  %sn%d -> %sn%d;\n", prefix, graph->nodes[i]->inputs[k]->id, prefix,
                    graph->nodes[i]->id);
    for (int i = 0; i < graph->output_count; i++) {
        fprintf(stream, "  %soutput%d [shape=plaintext, label=\"", prefix, i);
        print_escaped(graph->outputs[i].name, stream);
        fprintf(stream, "\"];\n  %sn%d -> %soutput%d;\n", prefix, graph->outputs[i].value->id,
                prefix, i);
    }
}

static void begin(const CvmGraph *graph, FILE *stream) {
    fputs("digraph \"", stream);
    print_escaped(graph->name, stream);
    fputs("\" {\n  node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\", "
          "fontsize=10];\n",
          stream);
}

void cvm_graph_print_dot(const CvmGraph *graph, FILE *stream) {
    Drawing drawing = {graph, "", stream};
    begin(graph, stream);
    print_nodes(&drawing);
    print_edges(&drawing);
    fputs("}\n", stream);
}

void cvm_graph_print_dot_pair(const CvmGraph *before, const CvmGraph *after, FILE *stream) {
    const Drawing drawings[] = {{before, "before_", stream}, {after, "after_", stream}};
    static const char *const labels[] = {"before the passes", "after the passes"};
    begin(before, stream);
    for (int i = 0; i < 2; i++) {
        fprintf(stream, "  subgraph \"cluster_%s\" { label=\"%s\"; fontname=\"sans-serif\";\n",
                drawings[i].prefix, labels[i]);
        print_nodes(&drawings[i]);
        print_edges(&drawings[i]);
        fputs("  }\n", stream);
    }
    fputs("}\n", stream);
}
