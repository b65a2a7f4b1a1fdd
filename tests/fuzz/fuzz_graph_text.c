/* Any bytes as a graph text: refused with a diagnostic, or it verifies, prints, and what was
 * printed parses to the same text again. */
#include "compiler/graph/graph.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmSource source = {.path = "fuzz.graph",
                        .text = cvm_arena_copy(arena, (const char *)bytes, size),
                        .length = size};
    CvmGraph *graph = cvm_graph_parse(arena, &source, &diag);
    if (!graph && diag.error_count == 0)
        abort(); /* refused without a word */
    if (graph) {
        char *text = cvm_graph_text(graph, true, arena);
        CvmSource again = {.path = "again.graph", .text = text, .length = strlen(text)};
        CvmGraph *copy = cvm_graph_parse(arena, &again, &diag);
        if (!copy || strcmp(cvm_graph_text(copy, true, arena), text))
            abort();
    }
    cvm_arena_free(arena);
    return 0;
}
