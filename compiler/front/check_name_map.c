/* Name maps: what a foreign file calls the tensors of a model. Whether they fit a model shows when
 * a file is loaded (name_map.c); here only the lines' form is checked. */
#include "compiler/front/check.h"
#include "compiler/front/name_map.h"

#include <string.h>

enum { MAX_RULES = 10000 };

typedef struct MapChecker {
    CvmProgram *program;
    CvmNameRule *rules;
    int count;
    bool sound;
} MapChecker;

static void breach(MapChecker *checker, int code, CvmSpan span, const char *mend,
                   const char *message) {
    checker->sound = cvm_diag_error(checker->program->diag, code, span, NULL, mend, "%s", message);
}

static int count_stars(const char *pattern) {
    int count = 0;
    for (; *pattern; pattern++)
        count += *pattern == '*';
    return count;
}

/* A name of dotted parts, none of them empty. */
static bool is_dotted(const char *name) {
    size_t length = strlen(name);
    return length && name[0] != '.' && name[length - 1] != '.' && !strstr(name, "..");
}

static void check_form(MapChecker *checker, const CvmAstName *name) {
    if (!is_dotted(name->text))
        breach(checker, 1341, name->span, "write parts with dots between, as in \"features.0\"",
               cvm_arena_format(checker->program->arena, "'%s' is no name of a tensor or layer",
                                name->text));
}

/* The word that begins a line of this kind, when it is not `expected`. */
static bool check_word(MapChecker *checker, const CvmAstSetting *setting, const char *expected,
                       const char *hint) {
    if (!strcmp(setting->key.text, expected))
        return true;
    breach(checker, 1341, setting->key.span, hint,
           cvm_arena_format(checker->program->arena, "names has no line '%s'", setting->key.text));
    return false;
}

static bool check_line(MapChecker *checker, const CvmAstSetting *setting) {
    switch (setting->kind) {
    case CVM_AST_RENAME:
        if (count_stars(setting->patterns->name.text) != count_stars(setting->target.text))
            breach(checker, 1342, setting->span, "write as many '*' on the right as on the left",
                   "each '*' on the left stands for a text that the right side must place");
        if (count_stars(setting->target.text) > CVM_MAX_STARS)
            breach(checker, 1342, setting->span, NULL, "one line has at most eight '*'");
        return true;
    case CVM_AST_IN_ORDER:
        return check_word(checker, setting, "order",
                          "write: in order \"features\", \"classifier\"");
    default:
        return check_word(checker, setting, "ignore",
                          "there are \"NAME\" -> path, in order and ignore");
    }
}

static void add_rule(MapChecker *checker, const CvmAstSetting *setting) {
    static const CvmNameRuleKind kinds[] = {[CVM_AST_RENAME] = CVM_NAME_REPLACE,
                                            [CVM_AST_IN_ORDER] = CVM_NAME_IN_ORDER,
                                            [CVM_AST_IGNORE] = CVM_NAME_IGNORE};
    int count = 0;
    for (const CvmAstPattern *one = setting->patterns; one; one = one->next, count++)
        check_form(checker, &one->name);
    if (setting->target.text)
        check_form(checker, &setting->target);
    if (!check_line(checker, setting))
        return;
    const char **sources = cvm_arena_array(checker->program->arena, (size_t)count, sizeof *sources);
    count = 0;
    for (const CvmAstPattern *one = setting->patterns; one; one = one->next)
        sources[count++] = one->name.text;
    checker->rules[checker->count++] =
        (CvmNameRule){kinds[setting->kind], sources, count, setting->target.text, setting->span};
}

const CvmNameMap *cvm_check_name_map(CvmProgram *program, const CvmAstItem *item) {
    MapChecker checker = {.program = program, .sound = true};
    int count = 0;
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        count++;
    if (count > MAX_RULES) {
        breach(&checker, 1341, item->name.span, NULL, "this map has too many lines");
        return NULL;
    }
    checker.rules = cvm_arena_array(program->arena, (size_t)count + 1, sizeof *checker.rules);
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        add_rule(&checker, one);
    if (!checker.sound)
        return NULL;
    CvmNameMap *map = CVM_NEW(program->arena, CvmNameMap);
    *map = (CvmNameMap){item->name.text, item->name.span, checker.rules, checker.count};
    return map;
}

const CvmNameMap *cvm_use_name_map(CvmProgram *program, CvmAstName name) {
    CvmDeclaration *map = cvm_find_declaration(program, CVM_AST_NAMES, name.text);
    if (map)
        return map->names;
    const char *near = cvm_nearest_declaration(program, CVM_AST_NAMES, name.text);
    cvm_diag_error(
        program->diag, 1343, name.span, NULL,
        cvm_did_you_mean(program->arena, near, "import it, as in: import \"std/torchvision.cvm\""),
        "unknown name map '%s'", name.text);
    return NULL;
}

const CvmNameMap *cvm_program_name_map(const CvmProgram *program, const char *name,
                                       const char **near) {
    const CvmDeclaration *map = cvm_find_declaration(program, CVM_AST_NAMES, name);
    if (near)
        *near = map ? NULL : cvm_nearest_declaration(program, CVM_AST_NAMES, name);
    return map ? map->names : NULL;
}
