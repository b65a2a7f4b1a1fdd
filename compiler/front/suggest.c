/* "Did you mean …": the nearest of some names by edit distance, where swapping two neighbours
 * counts as one edit (optimal string alignment; F. Damerau, CACM 7(3), 1964). */
#include "compiler/front/diag.h"

#include <string.h>

enum { MAX_NAME = 64 };

static int least(int a, int b) {
    return a < b ? a : b;
}

static int edit_distance(const char *a, const char *b) {
    int rows = (int)strlen(a), columns = (int)strlen(b);
    int table[MAX_NAME + 1][MAX_NAME + 1];
    if (rows > MAX_NAME || columns > MAX_NAME)
        return MAX_NAME;
    for (int i = 0; i <= rows; i++)
        table[i][0] = i;
    for (int j = 0; j <= columns; j++)
        table[0][j] = j;
    for (int i = 1; i <= rows; i++)
        for (int j = 1; j <= columns; j++) {
            int change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            table[i][j] = least(change, least(table[i - 1][j], table[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                table[i][j] = least(table[i][j], table[i - 2][j - 2] + 1);
        }
    return table[rows][columns];
}

const char *cvm_nearest_name(const char *name, const char *const *names, int count) {
    const char *best = NULL;
    int limit = ((int)strlen(name) + 2) / 3; /* more changes than that is another word */
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(name, names[i]);
        if (distance <= limit && strcmp(name, names[i])) {
            best = names[i];
            limit = distance - 1;
        }
    }
    return best;
}
