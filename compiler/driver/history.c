/* See history.h. */
#include "compiler/driver/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 96 };

void cvm_history_add(CvmHistory *history, CvmArena *arena, CvmEpochRecord record) {
    bool full = (history->count & (history->count - 1)) == 0; /* doubled at powers of two */
    if (full) {
        size_t room = history->count ? 2 * (size_t)history->count : 1;
        CvmEpochRecord *longer = cvm_arena_array(arena, room, sizeof *longer);
        if (history->count)
            memcpy(longer, history->epochs, (size_t)history->count * sizeof *longer);
        history->epochs = longer;
    }
    history->epochs[history->count++] = record;
}

int cvm_history_best(const CvmHistory *history) {
    int best = -1;
    for (int i = 0; i < history->count; i++)
        if (best < 0 || history->epochs[i].accuracy > history->epochs[best].accuracy)
            best = i;
    return best;
}

char *cvm_history_text(const CvmHistory *history) {
    char *text = calloc(1, (size_t)history->count * LINE_BYTES + 1), *end = text;
    for (int i = 0; text && i < history->count; i++) {
        const CvmEpochRecord *one = &history->epochs[i];
        end += snprintf(end, LINE_BYTES, "%.17g,%.17g,%.17g\n", one->loss, one->test_loss,
                        one->accuracy);
    }
    return text;
}

static bool read_number(const char **text, char after, double *value) {
    char *end;
    *value = strtod(*text, &end);
    if (end == *text || *end != after || !isfinite(*value))
        return false;
    *text = end + 1;
    return true;
}

bool cvm_history_read(const char *text, CvmArena *arena, CvmHistory *history) {
    CvmEpochRecord one;
    *history = (CvmHistory){0};
    while (*text) {
        if (!read_number(&text, ',', &one.loss) || !read_number(&text, ',', &one.test_loss) ||
            !read_number(&text, '\n', &one.accuracy)) {
            *history = (CvmHistory){0};
            return false;
        }
        cvm_history_add(history, arena, one);
    }
    return true;
}
