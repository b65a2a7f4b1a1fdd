/* The inside of a checked program, shared by the files of the checker: loading (module.c), names
 * (names.c), expansion of models (expand.c), data (check_data.c) and training (check_train.c). */
#ifndef CVM_FRONT_CHECK_H
#define CVM_FRONT_CHECK_H

#include "compiler/front/program.h"
#include "compiler/front/scope.h"

/* A model, block or data declaration, in the order read: imports first. */
typedef struct CvmDeclaration {
    const CvmAstItem *item;
    bool in_main;            /* stands in the file that was named, not in an import */
    bool sound;              /* MODEL, BLOCK: its names hold, so it can be expanded */
    const CvmData *data;     /* DATA: once checked, NULL when it did not hold */
    const CvmNameMap *names; /* NAMES: the same */
    struct CvmDeclaration *next;
} CvmDeclaration;

struct CvmModelUse {
    const CvmProgram *program;
    const CvmAstItem *item;
    int64_t values[CVM_MAX_ARGUMENTS]; /* of its parameters, in order */
};

struct CvmProgram {
    CvmArena *arena;
    CvmDiag *diag;
    const char *stdlib;
    bool read; /* files may be read */
    CvmAstFile *main;
    const CvmSource **loaded; /* files read so far, by path */
    int loaded_count;
    CvmDeclaration *declarations, **next_declaration;
    CvmModelUse **models;
    int model_count;
    CvmTrain **trains;
    int train_count;
    CvmPredict **predicts;
    int predict_count;
};

/* Parses the main source's imports and declares everything (11xx). */
void cvm_program_declare(CvmProgram *program, CvmAstFile *main);

CvmDeclaration *cvm_find_declaration(const CvmProgram *program, CvmAstItemKind kind,
                                     const char *name);

/* The declared name of that kind nearest to `name`, or NULL. */
const char *cvm_nearest_declaration(const CvmProgram *program, CvmAstItemKind kind,
                                    const char *name);

/* "did you mean 'x'?" in the arena, or `otherwise` when near is NULL. */
const char *cvm_did_you_mean(CvmArena *arena, const char *near, const char *otherwise);

/* Whether the names in a model or block hold: layers, blocks, bound names, arguments, parameters
 * that are used. Reports all breaches, not just the first. */
bool cvm_check_names(CvmProgram *program, const CvmAstItem *item);

/* Values of a model's or block's parameters from written arguments and defaults. */
bool cvm_bind_parameters(const CvmEval *eval, const CvmAstItem *callee,
                         const CvmAstArgument *arguments, CvmSpan span,
                         int64_t values[CVM_MAX_ARGUMENTS]);

/* The forward graph, as a step of `train` wants it or (NULL) as evaluation does; NULL on error
 * (reported to diag). */
CvmGraph *cvm_expand_model(const CvmModelUse *model, const CvmTrain *train, int64_t batch,
                           CvmArena *arena, CvmDiag *diag);

/* The input declaration of a model, or NULL; and its picture's shape [c, h, w]. */
const CvmAstStatement *cvm_model_input_statement(const CvmAstItem *model);
bool cvm_eval_picture(const CvmEval *eval, const CvmAstExpr *list, CvmShape *shape);

/* Checks a data declaration / a name map / a predict or train block (13xx). NULL when it does not
 * hold. */
const CvmData *cvm_check_data(CvmProgram *program, const CvmAstItem *item);
const CvmNameMap *cvm_check_name_map(CvmProgram *program, const CvmAstItem *item);
CvmPredict *cvm_check_predict(CvmProgram *program, const CvmAstItem *item);
CvmTrain *cvm_check_train(CvmProgram *program, const CvmAstItem *item);

/* What `normalize` says in a train, or (in_train false) in a predict block, for pictures of so many
 * channels; 0: not known. False when it does not hold (reported). */
bool cvm_read_normalize(CvmProgram *program, const CvmAstExpr *expr, int channels, bool in_train,
                        CvmNormalize *normalize);

/* What `resize` and `crop` say. False when it does not hold (reported). */
bool cvm_read_resize(CvmProgram *program, const CvmAstSetting *setting,
                     CvmPreparation *preparation);
bool cvm_read_crop(CvmProgram *program, const CvmAstSetting *setting, CvmPreparation *preparation);

/* Once both are read: what comes out must be `image`, [c, h, w], which `whose` names; a short side
 * alone is cropped to it. Mistakes are reported at `span` (1347). */
bool cvm_settle_preparation(CvmProgram *program, CvmSpan span, const CvmShape *image,
                            const char *whose, CvmPreparation *preparation);

/* What `augment` says in a train whose data is read (NULL where it does not hold), added to it.
 * False when it does not hold (reported: 1350 to 1353). */
bool cvm_read_augment(CvmProgram *program, const CvmAstSetting *setting, CvmTrain *train);

/* Reports a group in braces where a value is expected, or an augment elsewhere than in a train
 * (1353). Always false. */
bool cvm_refuse_group(CvmProgram *program, const CvmAstSetting *setting);

/* What a train's freeze, unfreeze or rate line says, added to its rules. `graph`: the model's, NULL
 * when it does not hold. False when the line does not hold (reported). */
bool cvm_read_rules(CvmProgram *program, const CvmAstSetting *setting, const CvmGraph *graph,
                    CvmTrain *train);

/* Once all settings are read: that every line with an epoch changes something in it, and that
 * something learns in every epoch (1332 to 1334). */
bool cvm_check_rules(CvmProgram *program, const CvmTrain *train, const CvmGraph *graph);

/* That a pattern matches a parameter of the model (1330). */
bool cvm_check_pattern(CvmProgram *program, const CvmAstPattern *pattern, const CvmGraph *graph);

/* The map that a `names NAME` means (1343 when there is none); NULL when it does not hold. */
const CvmNameMap *cvm_use_name_map(CvmProgram *program, CvmAstName name);

#endif
