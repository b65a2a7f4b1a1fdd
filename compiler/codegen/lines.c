/* See lines.h. A whole kernel is of one place: the line of the layer that it begins with, of the
 * first such layer where several share it. Files are named as the user named them, and none by
 * where cvm is installed, so that the same input gives the same bytes. */
#include "compiler/codegen/lines.h"

#include <llvm-c/DebugInfo.h>

#include <string.h>

enum { DWARF_VERSION = 4 }; /* every debugger of the last ten years reads it */

static const char *file_name(const CvmSpan *span) {
    return span->source->name ? span->source->name : span->source->path;
}

static LLVMMetadataRef file_of(CvmEmitter *emitter, const CvmSpan *span) {
    const char *name = file_name(span);
    return LLVMDIBuilderCreateFile(emitter->lines, name, strlen(name), "", 0);
}

static LLVMMetadataRef function_of(CvmEmitter *emitter, const char *name, const CvmSpan *span) {
    LLVMMetadataRef file = file_of(emitter, span);
    LLVMMetadataRef type =
        LLVMDIBuilderCreateSubroutineType(emitter->lines, file, NULL, 0, LLVMDIFlagZero);
    unsigned line = (unsigned)span->first_line;
    return LLVMDIBuilderCreateFunction(emitter->lines, file, name, strlen(name), "", 0, file, line,
                                       type, true, true, line, LLVMDIFlagZero, true);
}

/* The place in the text outside of all blocks, in the kernel's function; then inwards. */
static LLVMMetadataRef location_of(CvmEmitter *emitter, const CvmSpan *span, const char *block,
                                   const CvmUse *uses) {
    LLVMMetadataRef outer = uses ? location_of(emitter, &uses->span,
                                               uses->outer ? uses->outer->block : NULL, uses->outer)
                                 : NULL;
    const char *name = block ? block : emitter->kernel->symbol;
    LLVMMetadataRef scope = function_of(emitter, name, span);
    if (!outer)
        LLVMSetSubprogram(emitter->function, scope);
    return LLVMDIBuilderCreateDebugLocation(emitter->context, (unsigned)span->first_line,
                                            (unsigned)span->first_column, scope, outer);
}

static void add_flag(CvmEmitter *emitter, const char *name, unsigned value) {
    LLVMMetadataRef number = LLVMValueAsMetadata(LLVMConstInt(emitter->i32, value, false));
    LLVMAddModuleFlag(emitter->module, LLVMModuleFlagBehaviorWarning, name, strlen(name), number);
}

static void add_unit(CvmEmitter *emitter, const CvmSpan *span) {
    static const char producer[] = "cvm " CVM_VERSION;
    LLVMDIBuilderCreateCompileUnit(emitter->lines, LLVMDWARFSourceLanguageC11,
                                   file_of(emitter, span), producer, sizeof producer - 1, true, "",
                                   0, 0, "", 0, LLVMDWARFEmissionLineTablesOnly, 0, true, false, "",
                                   0, "", 0);
}

static const CvmSpan *outermost(const CvmOrigin *place) {
    const CvmSpan *span = &place->span;
    for (const CvmUse *use = place->uses; use; use = use->outer)
        span = &use->span;
    return span;
}

void cvm_lines_begin(CvmEmitter *emitter) {
    const CvmOrigin *place = emitter->kernel->place;
    if (!place)
        return;
    emitter->lines = LLVMCreateDIBuilder(emitter->module);
    add_flag(emitter, "Debug Info Version", LLVMDebugMetadataVersion());
    add_flag(emitter, "Dwarf Version", DWARF_VERSION);
    add_unit(emitter, outermost(place));
    LLVMMetadataRef location =
        location_of(emitter, &place->span, place->uses ? place->uses->block : NULL, place->uses);
    LLVMSetCurrentDebugLocation2(emitter->builder, location);
}

void cvm_lines_end(CvmEmitter *emitter) {
    if (!emitter->lines)
        return;
    LLVMDIBuilderFinalize(emitter->lines);
    LLVMDisposeDIBuilder(emitter->lines);
}

void cvm_lines_print(const CvmOrigin *place, FILE *stream) {
    if (!place)
        return;
    fprintf(stream, "at %s:%d:%d\n", file_name(&place->span), place->span.first_line,
            place->span.first_column);
    for (const CvmUse *use = place->uses; use; use = use->outer)
        fprintf(stream, "in %s at %s:%d:%d\n", use->block, file_name(&use->span),
                use->span.first_line, use->span.first_column);
}
