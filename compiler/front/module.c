/* Loading a program's files: imports in order, each file once, no circles; "std/…" from the
 * standard library, any other beside the importing file. Declarations share one name space per
 * kind. */
#include "compiler/front/check.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 100, MAX_IMPORT_DEPTH = 32 };

typedef struct Import {
    const CvmSource *source; /* being read */
    const struct Import *outer;
} Import;

CvmDeclaration *cvm_find_declaration(const CvmProgram *program, CvmAstItemKind kind,
                                     const char *name) {
    for (CvmDeclaration *one = program->declarations; one; one = one->next)
        if (one->item->kind == kind && !strcmp(one->item->name.text, name))
            return one;
    return NULL;
}

const char *cvm_nearest_declaration(const CvmProgram *program, CvmAstItemKind kind,
                                    const char *name) {
    enum { MAX_NAMES = 256 };
    const char *names[MAX_NAMES];
    int count = 0;
    for (CvmDeclaration *one = program->declarations; one && count < MAX_NAMES; one = one->next)
        if (one->item->kind == kind)
            names[count++] = one->item->name.text;
    return cvm_nearest_name(name, names, count);
}

const char *cvm_did_you_mean(CvmArena *arena, const char *near, const char *otherwise) {
    return near ? cvm_arena_format(arena, "did you mean '%s'?", near) : otherwise;
}

static void declare(CvmProgram *program, const CvmAstItem *item, bool in_main) {
    CvmDeclaration *before = cvm_find_declaration(program, item->kind, item->name.text);
    if (before) {
        const CvmSpan *place = &before->item->name.span;
        cvm_diag_error(program->diag, 1104, item->name.span, NULL, "give one another name",
                       "'%s' is declared twice, first at %s:%d", item->name.text,
                       place->source->path, place->first_line);
        return;
    }
    CvmDeclaration *declaration = CVM_NEW(program->arena, CvmDeclaration);
    declaration->item = item;
    declaration->in_main = in_main;
    *program->next_declaration = declaration;
    program->next_declaration = &declaration->next;
}

static const char *path_of(const CvmProgram *program, const CvmSource *from, const char *name) {
    if (!strncmp(name, "std/", 4))
        return cvm_arena_format(program->arena, "%s/%s", program->stdlib, name + 4);
    const char *slash = strrchr(from->path, '/');
    if (!slash || name[0] == '/')
        return name;
    return cvm_arena_format(program->arena, "%.*s/%s", (int)(slash - from->path), from->path, name);
}

static bool is_loaded(const CvmProgram *program, const char *path) {
    for (int i = 0; i < program->loaded_count; i++)
        if (!strcmp(program->loaded[i]->path, path))
            return true;
    return false;
}

static void load_items(CvmProgram *program, const CvmAstFile *file, const Import *import);

static void load_import(CvmProgram *program, const CvmAstItem *item, const Import *outer) {
    CvmSpan span = item->name.span;
    if (!program->read) {
        cvm_diag_error(program->diag, 1101, span, NULL, NULL, "imports cannot be read here");
        return;
    }
    if (!strncmp(item->name.text, "std/", 4) && !program->stdlib) {
        cvm_diag_error(program->diag, 1102, span, NULL, "set CVM_STDLIB to its folder",
                       "the standard library was not found");
        return;
    }
    const char *path = path_of(program, outer->source, item->name.text);
    int depth = 0;
    for (const Import *one = outer; one; one = one->outer, depth++)
        if (!strcmp(one->source->path, path)) {
            cvm_diag_error(program->diag, 1103, span, NULL, "move what both need to a third file",
                           "imports go in a circle: %s is being read already", path);
            return;
        }
    if (is_loaded(program, path))
        return;
    if (depth > MAX_IMPORT_DEPTH || program->loaded_count == MAX_FILES) {
        cvm_diag_error(program->diag, 1105, span, NULL, NULL, "too many imports");
        return;
    }
    CvmSource *source = cvm_source_read(program->arena, path, span, program->diag);
    if (!source)
        return;
    if (!strncmp(item->name.text, "std/", 4))
        source->name = item->name.text;
    program->loaded[program->loaded_count++] = source;
    load_items(program, cvm_ast_parse(program->arena, source, program->diag),
               &(Import){source, outer});
}

static void load_items(CvmProgram *program, const CvmAstFile *file, const Import *import) {
    for (const CvmAstItem *item = file->items; item; item = item->next)
        if (item->kind == CVM_AST_IMPORT)
            load_import(program, item, import);
    for (const CvmAstItem *item = file->items; item; item = item->next)
        if (item->kind != CVM_AST_IMPORT && item->kind != CVM_AST_TRAIN &&
            item->kind != CVM_AST_PREDICT)
            declare(program, item, !import->outer);
}

void cvm_program_declare(CvmProgram *program, CvmAstFile *main) {
    program->loaded = cvm_arena_array(program->arena, MAX_FILES, sizeof *program->loaded);
    program->next_declaration = &program->declarations;
    load_items(program, main, &(Import){main->source, NULL});
}
