/* Any bytes as a .cvm text: parsed and checked without touching a file, and either it holds and its
 * models build, or there is a diagnostic. Formatted, it says the same, and stays as it is when it
 * is formatted again. */
#include "compiler/front/format.h"
#include "compiler/front/program.h"

#include <stdlib.h>
#include <string.h>

static CvmSource source_of(const uint8_t *bytes, size_t size, CvmArena *arena) {
    return (CvmSource){.path = "fuzz.cvm",
                       .text = cvm_arena_copy(arena, (const char *)bytes, size),
                       .length = size};
}

static void format_twice(const CvmSource *source, CvmArena *arena) {
    enum { FORMATTING_CHANGES_IT = 1008 };
    CvmDiag diag;
    CvmFormatted once, twice;
    cvm_diag_init(&diag, arena);
    if (cvm_format(arena, source, &once, &diag)) {
        CvmSource again = {.path = source->path, .text = once.text, .length = once.length};
        if (!cvm_format(arena, &again, &twice, &diag) || twice.changed)
            abort();
    } else if (diag.last->code == FORMATTING_CHANGES_IT) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmSource source = source_of(bytes, size, arena);
    CvmProgram *program = cvm_program_from_source(arena, &source, NULL, false, &diag);
    if (!program && diag.error_count == 0)
        abort(); /* refused without a word */
    for (int i = 0; program && i < cvm_program_model_count(program); i++)
        if (!cvm_model_build(cvm_program_model(program, i), 3, arena, &diag))
            abort(); /* it held for another batch */
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) {
        cvm_diag_print(&diag, nowhere);
        cvm_ast_print(cvm_ast_parse(arena, &source, &diag), true, nowhere);
        fclose(nowhere);
    }
    format_twice(&source, arena);
    cvm_arena_free(arena);
    return 0;
}
