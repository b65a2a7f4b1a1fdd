/* See layout.h. */
#include "compiler/graph/layout.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [CVM_LAYOUT_PLAIN] = "plain",
    [CVM_LAYOUT_BATCH] = "batch",
    [CVM_LAYOUT_CHANNEL] = "channel",
    [CVM_LAYOUT_FILTER] = "filter",
};

enum { LAYOUTS = sizeof names / sizeof *names, MAX_LANES = 64 };

const char *cvm_layout_text(const CvmType *type, char text[CVM_LAYOUT_TEXT]) {
    if (type->layout == CVM_LAYOUT_PLAIN)
        return strcpy(text, "");
    snprintf(text, CVM_LAYOUT_TEXT, "%s%d", names[type->layout], type->lanes);
    return text;
}

/* The decimal number that is all of the text; 0 when it is none, or above the largest lanes. */
static int parse_lanes(const char *text, size_t length) {
    int lanes = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || lanes > MAX_LANES)
            return 0;
        lanes = 10 * lanes + (text[i] - '0');
    }
    return lanes;
}

bool cvm_layout_parse(const char *text, size_t length, CvmType *type) {
    type->layout = CVM_LAYOUT_PLAIN;
    type->lanes = 0;
    if (length == 0 || (length == strlen(names[0]) && !memcmp(text, names[0], length)))
        return true;
    for (int i = CVM_LAYOUT_BATCH; i < LAYOUTS; i++) {
        size_t name = strlen(names[i]);
        if (length <= name || memcmp(text, names[i], name) != 0)
            continue;
        int lanes = parse_lanes(text + name, length - name);
        if (lanes < 2 || lanes > MAX_LANES || (lanes & (lanes - 1)))
            return false;
        type->layout = (CvmLayoutKind)i;
        type->lanes = lanes;
        return true;
    }
    return false;
}

bool cvm_layout_fits(const CvmType *type) {
    const CvmShape *shape = &type->shape;
    switch (type->layout) {
    case CVM_LAYOUT_BATCH:
        return shape->rank >= 2 && shape->sizes[0] % type->lanes == 0;
    case CVM_LAYOUT_CHANNEL:
        return shape->rank == 4 && shape->sizes[1] % type->lanes == 0;
    case CVM_LAYOUT_FILTER:
        return shape->rank == 4 && shape->sizes[0] % type->lanes == 0;
    default:
        return true;
    }
}

int64_t cvm_layout_block(const CvmType *type, int dimension) {
    switch (type->layout) {
    case CVM_LAYOUT_BATCH:
        return dimension == 0 ? type->lanes : 1;
    case CVM_LAYOUT_CHANNEL:
        return dimension == 1 ? type->lanes : 1;
    case CVM_LAYOUT_FILTER:
        if (dimension == 1)
            return type->shape.sizes[1] % type->lanes ? type->shape.sizes[1] : type->lanes;
        return dimension == 0 ? type->lanes : 1;
    default:
        return 1;
    }
}

bool cvm_layout_equal(const CvmType *a, const CvmType *b) {
    return a->layout == b->layout && (a->layout == CVM_LAYOUT_PLAIN || a->lanes == b->lanes);
}
