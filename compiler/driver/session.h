/* What the commands share: a loaded program with the train or model the command line chose, compile
 * settings, one store of tensors, one thread pool, and every plan compiled for them. A function
 * that fails has reported it, set `status`, and returns false. */
#ifndef CVM_DRIVER_SESSION_H
#define CVM_DRIVER_SESSION_H

#include "compiler/driver/history.h"
#include "compiler/driver/options.h"
#include "compiler/front/program.h"
#include "compiler/pipeline.h"
#include "runtime/checkpoint.h"
#include "runtime/instance.h"
#include "runtime/safetensors.h"

enum { CVM_SESSION_PLANS = 8, CVM_PATH_SIZE = 4096 };

typedef struct CvmSession {
    const CvmOptions *options;
    const char *file; /* the .cvm file */
    int status;       /* exit code so far */

    CvmArena *arena;
    CvmDiag diag;
    CvmProgram *program;
    CvmGraph *graph;                /* of a graph's text; NULL: the program's are built */
    const CvmTrain *train;          /* with the command line's changes; NULL when there is none */
    const CvmModelUse *model;       /* the train's, or the one chosen; NULL when there is none */
    CvmTrain settings;              /* what `train` points at */
    const CvmPredict *predict;      /* the model's; NULL when it has none */
    const char *const *class_names; /* see class_names.h; NULL: not known */
    int class_count;
    const char *const *folders; /* of the classes of a folder data set, once it was read; or NULL */
    int folder_count;

    CvmHistory history; /* of the training's or the checkpoint's epochs */

    CvmCompileOptions compile;
    char cache[CVM_PATH_SIZE];
    CvmPool *pool;
    CvmTensorFile weights; /* of --weights: parameters in the store may lie in its mapping */
    CvmStore store;
    CvmExecutable *executables[CVM_SESSION_PLANS];
    CvmInstance *instances[CVM_SESSION_PLANS];
    int plan_count;
} CvmSession;

/* Loads and checks options->arguments[0] and chooses its train and model. Warnings are printed. */
bool cvm_session_open(CvmSession *session, const CvmOptions *options);

/* The same for commands that work on graphs alone: a file whose name ends in .graph is the text of
 * one, as dump --stage graph prints it. */
bool cvm_session_open_graph(CvmSession *session, const CvmOptions *options);

/* Frees everything; returns the exit code. */
int cvm_session_close(CvmSession *session);

/* Prints the error and sets the status from its kind. Always false. */
bool cvm_session_fail(CvmSession *session, const CvmError *error);
/* The same with a sentence and an exit code. */
bool cvm_session_refuse(CvmSession *session, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with what the compiler reported. */
bool cvm_session_fail_compile(CvmSession *session);

/* Whether there is a train (a model); refuses when not. */
bool cvm_session_need_train(CvmSession *session);
bool cvm_session_need_model(CvmSession *session);

/* The graph that dump, explain --fusion and passes speak of: the training step's where there is a
 * train and no --forward, else the inference's, at --batch, the train's batch, or 1. NULL on error
 * (reported). */
CvmGraph *cvm_session_graph(CvmSession *session);

/* Runs the chosen passes over a graph; log may be NULL. */
bool cvm_session_run_passes(CvmSession *session, CvmGraph *graph, CvmPassLog *log);

/* Plans the memory of a graph that the passes have been over. */
bool cvm_session_plan_memory(CvmSession *session, const CvmGraph *graph, CvmMemoryPlan *memory);

/* Compiles a graph (which it rewrites), adds its slots to the store, and binds an instance, which
 * the session owns. `what` names it in messages. */
CvmInstance *cvm_session_compile(CvmSession *session, CvmGraph *graph, const char *what);

/* The same on the averages of the weights that have some in the store by now. */
CvmInstance *cvm_session_compile_averaged(CvmSession *session, CvmGraph *graph, const char *what);

/* Adds the graph's parameters to the store, as compiling it would. */
bool cvm_session_add_slots(CvmSession *session, const CvmGraph *graph);

/* Frees the plans compiled after the first `count`, and their instances. */
void cvm_session_discard_plans(CvmSession *session, int count);

/* Instances of the model at a batch size; with_softmax: output "probabilities" beside "logits". */
CvmInstance *cvm_session_inference(CvmSession *session, int64_t batch, bool with_softmax);
/* Of the train's step. */
CvmInstance *cvm_session_training(CvmSession *session, int64_t batch);

/* The threads, made at the first call. NULL on error. */
CvmPool *cvm_session_pool(CvmSession *session);

/* Whether a processor is left over for a thread that reads pictures ahead. */
bool cvm_session_reads_ahead(CvmSession *session);

/* Names the model in checkpoints: cvm_graph_hash of its forward graph at batch 1. */
bool cvm_session_model_hash(CvmSession *session, uint64_t *hash);

/* Fills the store (whose plans are compiled) from options->checkpoint, and takes the classes' names
 * from it (info->classes is NULL then). */
bool cvm_session_load_checkpoint(CvmSession *session, CvmCheckpointInfo *info);

/* Takes the history that a checkpoint carries, freeing the text; one that is damaged is empty. */
void cvm_session_take_history(CvmSession *session, CvmCheckpointInfo *info);

/* Writes the .cvm file's name without folder and ".cvm", and with `ending`, into path. */
void cvm_session_stem(const CvmSession *session, const char *ending, char path[CVM_PATH_SIZE]);

/* Folder of the .cvm file: "models", or ".". */
void cvm_session_folder(const CvmSession *session, char path[CVM_PATH_SIZE]);

/* Finds a file that the .cvm file names: beside it, or in the current folder. false: in neither. */
bool cvm_session_has_file(const CvmSession *session, const char *name, char path[CVM_PATH_SIZE]);

/* The same; a file that is missing is refused, as the file of `what`. */
bool cvm_session_find_file(CvmSession *session, const char *what, const char *name,
                           char path[CVM_PATH_SIZE]);

/* Whether a file can be written to `path` later: before hours of work, say. `what` it will be: "the
 * WHAT can't be written to PATH". */
bool cvm_session_check_writable(CvmSession *session, const char *what, const char *path);

#endif
