/* What `resize` and `crop` say: how a picture of any size gets the size that is needed. Predict and
 * data blocks share it. */
#include "compiler/front/check.h"

enum { MAX_SIDE = 16384 };

static bool breach(CvmProgram *program, int code, CvmSpan span, const char *mend,
                   const char *message) {
    return cvm_diag_error(program->diag, code, span, NULL, mend, "%s", message);
}

static bool read_side(CvmProgram *program, const CvmAstExpr *expr, const char *what, int *side) {
    CvmEval eval = {.diag = program->diag};
    int64_t value = 0;
    bool read = cvm_eval_in_range(&eval, expr, what, 1, MAX_SIDE, &value);
    *side = (int)value;
    return read;
}

/* [height, width] */
static bool read_sides(CvmProgram *program, const CvmAstSetting *setting, int *height, int *width) {
    const CvmAstExpr *value = setting->value;
    const CvmAstArgument *first = value->arguments, *second = first ? first->next : NULL;
    if (!second || second->next || first->name.text || second->name.text)
        return breach(program, 1346, value->span, "write [height, width]",
                      cvm_arena_format(program->arena, "%s is one number, or two in a list",
                                       setting->key.text));
    return read_side(program, first->value, setting->key.text, height) &&
           read_side(program, second->value, setting->key.text, width);
}

bool cvm_read_resize(CvmProgram *program, const CvmAstSetting *setting,
                     CvmPreparation *preparation) {
    if (setting->value->kind == CVM_AST_LIST)
        return read_sides(program, setting, &preparation->resize_height,
                          &preparation->resize_width);
    return read_side(program, setting->value, "resize", &preparation->short_side);
}

bool cvm_read_crop(CvmProgram *program, const CvmAstSetting *setting, CvmPreparation *preparation) {
    if (setting->value->kind == CVM_AST_LIST)
        return read_sides(program, setting, &preparation->crop_height, &preparation->crop_width);
    bool read = read_side(program, setting->value, "crop", &preparation->crop_height);
    preparation->crop_width = preparation->crop_height;
    return read;
}

bool cvm_settle_preparation(CvmProgram *program, CvmSpan span, const CvmShape *image,
                            const char *whose, CvmPreparation *preparation) {
    CvmArena *arena = program->arena;
    int height = (int)image->sizes[1], width = (int)image->sizes[2];
    CvmPreparation *p = preparation;
    p->channels = (int)image->sizes[0];
    p->height = height;
    p->width = width;
    if (p->short_side && !p->crop_height) {
        p->crop_height = height;
        p->crop_width = width;
    }
    bool crops = p->crop_height, stretches = p->resize_height;
    const char *mend = cvm_arena_format(arena, "it is %d high and %d wide", height, width);
    if (crops && (p->crop_height != height || p->crop_width != width))
        return breach(program, 1347, span, mend,
                      cvm_arena_format(arena, "crop does not give the size of %s", whose));
    if (!crops && stretches && (p->resize_height != height || p->resize_width != width))
        return breach(program, 1347, span, mend,
                      cvm_arena_format(arena,
                                       "resize does not give the size of %s, and there is no crop",
                                       whose));
    if ((crops && stretches && (p->resize_height < height || p->resize_width < width)) ||
        (p->short_side && p->short_side < (height < width ? height : width)))
        return breach(program, 1347, span, mend, "resize leaves less than crop takes");
    return true;
}
