/* See signature.h. */
#include "compiler/front/signature.h"

#include <stdlib.h>
#include <string.h>

static CvmParameterKind kind_of(const char *name) {
    static const char *const names[] = {"int", "real", "bool", "size", "pad", "tensor"};
    for (int i = 0; i < 6; i++)
        if (!strcmp(names[i], name))
            return (CvmParameterKind)i;
    abort(); /* ops.def names no other kind */
}

/* "stride:size=1", "pad:pad=0", "stride:size?" */
static CvmParameterInfo parse_parameter(const char *text, size_t length, CvmArena *arena) {
    char *copy = cvm_arena_copy(arena, text, length);
    char *kind = strchr(copy, ':');
    *kind++ = 0;
    CvmParameterInfo info = {.name = copy};
    char *mark = kind + strcspn(kind, "=?*");
    if (*mark == '=') {
        info.optional = true;
        info.otherwise = !strcmp(mark + 1, "true") ? 1 : strtod(mark + 1, NULL);
    } else if (*mark == '?') {
        info.optional = true;
    } else if (*mark == '*') {
        info.repeats = true;
    }
    *mark = 0;
    info.kind = kind_of(kind);
    return info;
}

CvmSignature cvm_signature(CvmOp op, CvmArena *arena) {
    CvmSignature signature = {.count = 0};
    const char *text = cvm_op_info(op)->arguments;
    while (*text) {
        size_t length = strcspn(text, " ");
        signature.parameters[signature.count++] = parse_parameter(text, length, arena);
        text += length + strspn(text + length, " ");
    }
    return signature;
}

CvmSignature cvm_signature_of_parameters(const CvmAstParameter *parameters) {
    CvmSignature signature = {.count = 0};
    for (; parameters && signature.count < CVM_MAX_ARGUMENTS; parameters = parameters->next)
        signature.parameters[signature.count++] = (CvmParameterInfo){
            .name = parameters->name.text, .optional = parameters->otherwise != NULL};
    return signature;
}

static int find_parameter(const CvmSignature *signature, const char *name) {
    for (int i = 0; i < signature->count; i++)
        if (!strcmp(signature->parameters[i].name, name))
            return i;
    return -1;
}

static bool unknown_argument(const CvmSignature *signature, const char *callee,
                             const CvmAstArgument *argument, const CvmUse *uses, CvmDiag *diag) {
    const char *names[CVM_MAX_ARGUMENTS];
    char mend[256];
    size_t used = 0;
    for (int i = 0; i < signature->count; i++)
        names[i] = signature->parameters[i].name;
    const char *near = cvm_nearest_name(argument->name.text, names, signature->count);
    if (near) {
        snprintf(mend, sizeof mend, "did you mean '%s'?", near);
    } else {
        used = (size_t)snprintf(mend, sizeof mend, signature->count ? "it takes" : "it takes none");
        for (int i = 0; i < signature->count && used < sizeof mend; i++)
            used +=
                (size_t)snprintf(mend + used, sizeof mend - used, "%s %s", i ? "," : "", names[i]);
    }
    return cvm_diag_error(diag, 1203, argument->name.span, uses, mend, "%s has no argument '%s'",
                          callee, argument->name.text);
}

bool cvm_match_arguments(const CvmSignature *signature, const char *callee,
                         const CvmAstArgument *arguments, CvmSpan span, const CvmUse *uses,
                         const CvmAstArgument *matched[CVM_MAX_ARGUMENTS], CvmDiag *diag) {
    int next = 0;
    bool fits = true;
    memset(matched, 0, CVM_MAX_ARGUMENTS * sizeof *matched);
    for (const CvmAstArgument *argument = arguments; argument; argument = argument->next) {
        int at = argument->name.text ? find_parameter(signature, argument->name.text) : next++;
        if (at < 0) {
            fits = unknown_argument(signature, callee, argument, uses, diag);
        } else if (at >= signature->count && signature->parameters[0].repeats) {
            continue; /* one more of them */
        } else if (at >= signature->count) {
            return cvm_diag_error(diag, 1206, argument->span, uses, NULL,
                                  "%s takes %d argument%s, and this is one more", callee,
                                  signature->count, signature->count == 1 ? "" : "s");
        } else if (matched[at]) {
            fits = cvm_diag_error(diag, 1204, argument->span, uses, "leave one out",
                                  "%s is given '%s' twice", callee, signature->parameters[at].name);
        } else {
            matched[at] = argument;
        }
    }
    for (int i = 0; i < signature->count && fits; i++)
        if (!matched[i] && !signature->parameters[i].optional) {
            char mend[96];
            snprintf(mend, sizeof mend, "write %s(%s=...)", callee, signature->parameters[i].name);
            fits = cvm_diag_error(diag, 1205, span, uses, mend, "%s needs its argument '%s'",
                                  callee, signature->parameters[i].name);
        }
    return fits;
}
