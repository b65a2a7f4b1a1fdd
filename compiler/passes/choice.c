/* The text that chooses passes, and the one that limits them: lists of words with commas between.
 */
#include "compiler/passes/passes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

int cvm_pass_find(const char *name) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    for (int i = 0; i < count; i++)
        if (!strcmp(passes[i].name, name))
            return i;
    return -1;
}

static CvmPassChoice empty_choice(void) {
    CvmPassChoice choice = {.count = 0};
    for (int i = 0; i < CVM_MAX_PASSES; i++)
        choice.limits[i] = INT_MAX;
    return choice;
}

static CvmPassChoice default_choice(void) {
    CvmPassChoice choice = empty_choice();
    int count;
    const CvmPass *passes = cvm_passes(&count);
    for (int i = 0; i < count; i++)
        if (passes[i].enabled)
            choice.order[choice.count++] = i;
    return choice;
}

/* The piece of the text up to the next comma, without the spaces around it, in the arena. */
static char *next_word(const char **text, CvmArena *arena) {
    const char *begin = *text;
    size_t length = strcspn(begin, ",");
    *text += length + (begin[length] == ',');
    for (; length && *begin == ' '; length--)
        begin++;
    while (length && begin[length - 1] == ' ')
        length--;
    return cvm_arena_copy(arena, begin, length);
}

static bool report_unknown(const char *name, CvmDiag *diag) {
    const char *names[CVM_MAX_PASSES + 2] = {"default", "none"};
    int count;
    const CvmPass *passes = cvm_passes(&count);
    for (int i = 0; i < count; i++)
        names[i + 2] = passes[i].name;
    const char *nearest = cvm_nearest_name(name, names, count + 2);
    const char *mend =
        nearest ? cvm_arena_format(diag->arena, "did you mean '%s'?", nearest) : NULL;
    return cvm_diag_error(diag, 1170, (CvmSpan){0}, NULL, mend, "there is no pass '%s'", name);
}

/* --- the choice --- */

static void remove_pass(CvmPassChoice *choice, int row) {
    int kept = 0;
    for (int i = 0; i < choice->count; i++)
        if (choice->order[i] != row)
            choice->order[kept++] = choice->order[i];
    choice->count = kept;
}

static bool insert_pass(CvmPassChoice *choice, int at, int row, CvmDiag *diag) {
    if (choice->count == CVM_MAX_PASSES)
        return cvm_diag_error(diag, 1171, (CvmSpan){0}, NULL, NULL,
                              "a list of passes has at most %d names", CVM_MAX_PASSES);
    memmove(&choice->order[at + 1], &choice->order[at],
            (size_t)(choice->count - at) * sizeof *choice->order);
    choice->order[at] = row;
    choice->count++;
    return true;
}

/* At the place the table gives it among those that are there. */
static bool add_pass(CvmPassChoice *choice, int row, CvmDiag *diag) {
    int at = choice->count;
    for (int i = choice->count - 1; i >= 0; i--) {
        if (choice->order[i] == row)
            return true;
        if (choice->order[i] > row)
            at = i;
    }
    return insert_pass(choice, at, row, diag);
}

bool cvm_pass_choice(const char *text, CvmPassChoice *choice, CvmDiag *diag) {
    *choice = default_choice();
    bool known = true, is_list = false;
    for (bool first = true; text && *text; first = false) {
        const char *word = next_word(&text, diag->arena);
        if (!strcmp(word, "default") || !strcmp(word, "none")) {
            *choice = *word == 'd' ? default_choice() : empty_choice();
            continue;
        }
        char sign = *word == '+' || *word == '-' ? *word++ : 0;
        int row = cvm_pass_find(word);
        if (row < 0) {
            known = report_unknown(word, diag);
            continue;
        }
        if (first && !sign) { /* a list of names stands for itself */
            *choice = empty_choice();
            is_list = true;
        }
        if (sign == '-')
            remove_pass(choice, row);
        else if (is_list && !sign)
            known &= insert_pass(choice, choice->count, row, diag);
        else
            known &= add_pass(choice, row, diag);
    }
    return known;
}

const char *cvm_pass_choice_text(const CvmPassChoice *choice, CvmArena *arena) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    const char *text = choice->count ? passes[choice->order[0]].name : "none";
    for (int i = 1; i < choice->count; i++)
        text = cvm_arena_format(arena, "%s,%s", text, passes[choice->order[i]].name);
    return text;
}

/* --- limits --- */

static bool read_limit(char *word, CvmPassChoice *choice, CvmDiag *diag) {
    char *equals = strchr(word, '='), *end = NULL;
    long limit = -1;
    if (equals && equals[1] >= '0' && equals[1] <= '9')
        limit = strtol(equals + 1, &end, 10);
    if (limit < 0 || *end || limit > INT_MAX)
        return cvm_diag_error(diag, 1171, (CvmSpan){0}, NULL, "write NAME=N, as in fuse-epilogue=3",
                              "'%s' is no limit of a pass", word);
    *equals = 0;
    int row = cvm_pass_find(word);
    if (row < 0)
        return report_unknown(word, diag);
    choice->limits[row] = (int)limit;
    return true;
}

bool cvm_pass_limits(const char *text, CvmPassChoice *choice, CvmDiag *diag) {
    bool good = true;
    while (text && *text)
        good &= read_limit(next_word(&text, diag->arena), choice, diag);
    return good;
}

const char *cvm_pass_limits_text(const CvmPassChoice *choice, CvmArena *arena) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    const char *text = NULL;
    for (int i = 0; i < count; i++)
        if (choice->limits[i] != INT_MAX)
            text = cvm_arena_format(arena, "%s%s%s=%d", text ? text : "", text ? "," : "",
                                    passes[i].name, choice->limits[i]);
    return text;
}
