/* The table of passes, the text that chooses among them, and the loop that runs them. A pass is one
 * file beside this one and one row here. */
#include "compiler/passes/pass.h"

#include <string.h>

static const CvmPass table[] = {
    {"fold-constants", "computes what depends on constants alone, removes what changes nothing",
     true, cvm_fold_constants},
    {"cse", "computes equal things once", true, cvm_common_subexpressions},
    {"dead-code", "removes what no output and no update needs", true, cvm_dead_code},
    {"layout", "lays pictures side by side in vectors where convolutions have few channels", true,
     cvm_assign_layouts},
    {"fuse-epilogue", "applies bias, activation and the like to a result before it is stored", true,
     cvm_fuse_epilogues},
    {"fuse-pointwise", "makes one kernel of chains of pointwise nodes", true, cvm_fuse_pointwise},
    {"fuse-loss", "makes one kernel of log_softmax, nll and their gradients", true,
     cvm_fuse_losses},
};

enum { PASS_COUNT = sizeof table / sizeof *table };

_Static_assert(PASS_COUNT <= sizeof((CvmPassChoice *)0)->enabled / sizeof(bool),
               "CvmPassChoice has a flag for every pass");

const CvmPass *cvm_passes(int *count) {
    *count = PASS_COUNT;
    return table;
}

static CvmPassChoice default_choice(void) {
    CvmPassChoice choice = {0};
    for (int i = 0; i < PASS_COUNT; i++)
        choice.enabled[i] = table[i].enabled;
    return choice;
}

/* A piece of the choice between two commas, without the spaces around it. */
typedef struct Word {
    const char *text;
    size_t length;
} Word;

static Word next_word(const char **text) {
    size_t length = strcspn(*text, ",");
    Word word = {*text, length};
    *text += length + ((*text)[length] == ',');
    while (word.length && word.text[0] == ' ')
        word = (Word){word.text + 1, word.length - 1};
    while (word.length && word.text[word.length - 1] == ' ')
        word.length--;
    return word;
}

static bool word_is(Word word, const char *text) {
    return strlen(text) == word.length && !memcmp(text, word.text, word.length);
}

static int find_pass(Word word) {
    for (int i = 0; i < PASS_COUNT; i++)
        if (word_is(word, table[i].name))
            return i;
    return -1;
}

static bool report_unknown(Word word, CvmDiag *diag) {
    const char *names[PASS_COUNT + 2] = {"default", "none"};
    for (int i = 0; i < PASS_COUNT; i++)
        names[i + 2] = table[i].name;
    const char *name = cvm_arena_copy(diag->arena, word.text, word.length);
    const char *nearest = cvm_nearest_name(name, names, PASS_COUNT + 2);
    const char *mend =
        nearest ? cvm_arena_format(diag->arena, "did you mean '%s'?", nearest) : NULL;
    return cvm_diag_error(diag, 1170, (CvmSpan){0}, NULL, mend, "there is no pass '%s'", name);
}

bool cvm_pass_choice(const char *text, CvmPassChoice *choice, CvmDiag *diag) {
    *choice = default_choice();
    bool known = true;
    if (!text)
        return true;
    for (bool first = true; *text; first = false) {
        Word word = next_word(&text);
        if (word_is(word, "default")) {
            *choice = default_choice();
            continue;
        }
        if (word_is(word, "none")) {
            *choice = (CvmPassChoice){0};
            continue;
        }
        char sign = word.length ? word.text[0] : 0;
        bool is_signed = sign == '+' || sign == '-';
        if (is_signed)
            word = (Word){word.text + 1, word.length - 1};
        int pass = find_pass(word);
        if (pass < 0) {
            known = report_unknown(word, diag);
            continue;
        }
        if (first && !is_signed) /* a list of names stands for itself */
            *choice = (CvmPassChoice){0};
        choice->enabled[pass] = sign != '-';
    }
    return known;
}

/* The graph in order and, where asked for, checked. */
static bool finish_pass(const char *name, const CvmPassContext *context, CvmGraph *graph) {
    if (!cvm_graph_sort(graph))
        return cvm_diag_error(context->diag, 1600, (CvmSpan){0}, NULL, NULL,
                              "after '%s', parts of the graph wait for each other in a circle",
                              name);
    bool verify = context->verify;
#ifndef NDEBUG
    verify = true;
#endif
    return !verify || cvm_graph_verify(graph, context->diag);
}

/* Trials leave gaps: groups are numbered again in the order in which they run. */
static void number_groups(CvmGraph *graph) {
    int open = CVM_NO_GROUP;
    graph->next_group = 0;
    for (int i = 0; i < graph->node_count; i++) {
        int *group = &graph->nodes[i]->group, was = *group;
        if (was != CVM_NO_GROUP)
            *group = was == open ? graph->next_group - 1 : graph->next_group++;
        open = was;
    }
}

bool cvm_run_passes(const CvmPassChoice *choice, CvmPassContext *context, CvmGraph *graph) {
    for (int i = 0; i < PASS_COUNT; i++)
        if (choice->enabled[i] &&
            (table[i].run(context, graph) < 0 || !finish_pass(table[i].name, context, graph)))
            return false;
    if (cvm_settle_results(context, graph) < 0 || !finish_pass("settle", context, graph))
        return false;
    number_groups(graph);
    return true;
}
