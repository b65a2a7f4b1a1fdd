/* A checked program: a .cvm file with its imports, every name bound, every argument evaluated,
 * every shape inferred. Beyond this point there are no user errors in the text.
 *
 * Nothing is read here but .cvm files: data and weights are only named. */
#ifndef CVM_FRONT_PROGRAM_H
#define CVM_FRONT_PROGRAM_H

#include "compiler/front/ast.h"
#include "compiler/graph/optimizer.h"
#include "runtime/dataset.h"
#include "runtime/rate.h"

typedef struct CvmProgram CvmProgram;
typedef struct CvmTrain CvmTrain;

/* A `data` declaration. Paths as written; the driver resolves them against $CVM_DATA, Debian's
 * place and the .cvm file's folder. */
typedef enum CvmDataKind {
    CVM_DATA_IDX, /* a file of pictures and one of labels */
    CVM_DATA_CIFAR10,
    CVM_DATA_CIFAR100_FINE,
    CVM_DATA_CIFAR100_COARSE,
    CVM_DATA_FOLDER, /* a folder with a sub-folder of pictures for each class */
} CvmDataKind;

typedef enum CvmDataPart { CVM_DATA_TRAIN, CVM_DATA_TEST } CvmDataPart;
enum { CVM_DATA_PARTS = 2, CVM_MAX_DATA_FILES = 16 };

typedef struct CvmDataFiles {
    const char *names[CVM_MAX_DATA_FILES];
    int count;
} CvmDataFiles;

typedef struct CvmData {
    const char *name;
    CvmSpan span;
    CvmDataKind kind;
    const char *folder;                 /* sub-folder looked for: "fashion-mnist" */
    CvmDataFiles parts[CVM_DATA_PARTS]; /* none where the folder itself is split */
    double split;                       /* the part of the folder's pictures to test with, or 0 */
    uint64_t seed;                      /* of the split */
    CvmPreparation preparation;         /* of a folder's pictures */
    CvmShape image;                     /* [c, h, w] */
    int classes;                        /* 0: as many as the folder has */
    const char *const *class_names;     /* `classes` of them, or NULL */
} CvmData;

/* A model with its parameters' values: what `LeNet5(classes=5)` names. */
typedef struct CvmModelUse CvmModelUse;

/* A line of a `names` block, which renames tensors of a foreign file. */
typedef enum CvmNameRuleKind {
    CVM_NAME_REPLACE,  /* "features.0" -> body.conv1; with '*', which stands for the same text twice
                        */
    CVM_NAME_IN_ORDER, /* layers below the sources, by number, are the model's, in its order */
    CVM_NAME_IGNORE,   /* tensors that no model needs */
} CvmNameRuleKind;

typedef struct CvmNameRule {
    CvmNameRuleKind kind;
    const char *const *sources;
    int source_count;
    const char *target; /* IN_ORDER: the section whose layers are meant, NULL: the whole model */
    CvmSpan span;
} CvmNameRule;

typedef struct CvmNameMap {
    const char *name;
    CvmSpan span;
    const CvmNameRule *rules; /* in the order written, which is that of their use */
    int rule_count;
} CvmNameMap;

typedef enum CvmNormalizeKind {
    CVM_NORMALIZE_UNIT,          /* pixels / 255 */
    CVM_NORMALIZE_MEAN_OF_TRAIN, /* then minus mean, over deviation, per channel, of the training
                                    set */
    CVM_NORMALIZE_STATED,        /* the same with numbers that the text states */
} CvmNormalizeKind;

typedef struct CvmNormalize {
    CvmNormalizeKind kind;
    CvmNormalization stated; /* UNIT, STATED: for the model's channels */
} CvmNormalize;

/* How pictures from files become a model's input: a `predict` block. */
typedef struct CvmPredict {
    const CvmModelUse *model; /* with default arguments */
    CvmSpan span;
    CvmPreparation preparation;
    bool normalizes; /* whether `normalize` is stated; never MEAN_OF_TRAIN */
    CvmNormalize normalize;
    const char *labels; /* file of the classes' names, or NULL */
    const CvmNameMap *names;
} CvmPredict;

/* freeze PATTERN / unfreeze PATTERN / rate PATTERN 0.01x, in the order written; of those whose
 * epoch has come, later lines win. */
typedef enum CvmRateRuleKind {
    CVM_RULE_FREEZE,
    CVM_RULE_UNFREEZE, /* back to what the rate lines before say */
    CVM_RULE_RATE,     /* learns, at this multiple; 0: frozen */
} CvmRateRuleKind;

typedef struct CvmRateRule {
    CvmRateRuleKind kind;
    const char *pattern;
    double multiplier; /* RATE */
    int epoch;         /* from which on it counts, the first being 0 */
    CvmSpan span;
} CvmRateRule;

struct CvmTrain {
    const char *name; /* of `as NAME`, else the model's */
    CvmSpan span;
    const CvmModelUse *model;
    int classes; /* that the model tells apart */
    const CvmData *data;
    CvmNormalize normalize;
    CvmAugmentation augment; /* without seed and epoch; a count of 0: pictures are as they are */
    const char *loss;        /* "cross_entropy" */
    double smoothing;        /* of the loss's targets; 0: none */
    CvmOptimizer optimizer;
    double clip;  /* the largest norm of all gradients together; 0: any */
    CvmRate rate; /* its epochs are filled in where it is used: the command line may change them */
    int epochs, batch;
    int accumulate; /* micro-batches that a batch is split into, a divisor of it; 1: none */
    int patience;   /* ends when so many epochs brought no better test accuracy; 0: never */
    int take;       /* so many of the pictures to learn from; 0: all */
    uint64_t seed;
    const char *weights; /* file to start from, or NULL */
    CvmSpan weights_span;
    const CvmNameMap *names; /* what the file calls its tensors; NULL: as the model does */
    const char *const *weights_except; /* patterns whose parameters are not taken from it */
    int weights_except_count;
    const CvmRateRule *rules;
    int rule_count;
    int epoch; /* whose rules count now, the first being 0 */
};

/* Loads path and what it imports ("std/…" from the stdlib folder, others beside the file), parses
 * and checks everything: every model is built once (with its default arguments and as used by each
 * train) so that all shape errors are reported. NULL when there are errors, all of them in diag.
 * stdlib: folder of the standard library, NULL to find it ($CVM_STDLIB, else beside the command,
 * else the build's). */
CvmProgram *cvm_program_load(CvmArena *arena, const char *path, const char *stdlib, CvmDiag *diag);

/* The same from a text already in memory (tests, fuzzing); `read` false forbids reading any file,
 * so an import is an error. */
CvmProgram *cvm_program_from_source(CvmArena *arena, const CvmSource *source, const char *stdlib,
                                    bool read, CvmDiag *diag);

/* The main file's own source tree and trains, in order. */
const CvmAstFile *cvm_program_ast(const CvmProgram *program);
int cvm_program_train_count(const CvmProgram *program);
const CvmTrain *cvm_program_train(const CvmProgram *program, int index);

/* The models declared in the main file (imports not counted), with default arguments; a model with
 * a parameter that has no default is not among them. */
int cvm_program_model_count(const CvmProgram *program);
const CvmModelUse *cvm_program_model(const CvmProgram *program, int index);

/* The main file's predict blocks, one a model at most; the one of a model, or NULL. */
int cvm_program_predict_count(const CvmProgram *program);
const CvmPredict *cvm_program_predict(const CvmProgram *program, int index);
const CvmPredict *cvm_program_predict_of(const CvmProgram *program, const CvmModelUse *model);

/* A map of the file or its imports; NULL when there is none of that name, and then *near (unless
 * near is NULL) is the nearest name there is, or NULL. */
const CvmNameMap *cvm_program_name_map(const CvmProgram *program, const char *name,
                                       const char **near);

const char *cvm_model_name(const CvmModelUse *model);
CvmShape cvm_model_input(const CvmModelUse *model); /* [c, h, w] */
const char *cvm_model_input_name(const CvmModelUse *model);

/* Builds the model's forward graph for a batch size in `arena`: one input named as in the model
 * ("image"), shape [batch, c, h, w]; one output "logits". Cannot fail for a checked program unless
 * sizes overflow (diag). Layers that act otherwise in training (batch norm) do what evaluation
 * wants. */
CvmGraph *cvm_model_build(const CvmModelUse *model, int64_t batch, CvmArena *arena, CvmDiag *diag);

/* The forward part of a step of `train`: such layers do what training wants, unless they are
 * frozen, and add the updates of their statistics. The parameters are those of cvm_model_build. */
CvmGraph *cvm_model_build_training(const CvmTrain *train, int64_t batch, CvmArena *arena,
                                   CvmDiag *diag);

/* Whether a parameter name ("body.conv1.weight") matches a pattern: a section or layer path prefix
 * ("body", "body.conv1"), or with '*'. */
bool cvm_pattern_matches(const char *pattern, const char *name);

/* The rate multiplier of a parameter (or layer) under the train's rules in train->epoch: 1 by
 * default, 0 when frozen. */
double cvm_train_multiplier(const CvmTrain *train, const char *name);

/* What is done to the pictures to learn from, without seed and epoch; NULL: nothing. */
const CvmAugmentation *cvm_train_augmentation(const CvmTrain *train);

/* How a folder's pictures to learn from are prepared: uncropped where augment crops them. */
CvmPreparation cvm_train_preparation(const CvmTrain *train);

/* How many pictures go through the network at once: a micro-batch, the batch where it is not split.
 */
int cvm_train_part(const CvmTrain *train);

/* A training is one phase after another, in each of which the same rules count: the first epoch of
 * the phase after that of `epoch`; train->epochs where there is none. */
int cvm_train_phase_end(const CvmTrain *train, int epoch);

#endif
