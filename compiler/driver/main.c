/* The command cvmc: a table of commands, each a file of this folder, and the help that is printed
 * from the table. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/front/diag.h"

#include <stdio.h>
#include <string.h>

#ifndef CVM_VERSION
#define CVM_VERSION "0.1.0"
#endif

typedef struct Command {
    const char *name;
    int (*run)(const CvmOptions *options);
    const char *arguments; /* as in the usage line */
    int least, most;       /* how many of them; most -1: any number */
    CvmOptionSet options;
    const char *help; /* one line */
    const char *examples;
} Command;

#define TRAINING                                                                                   \
    (CVM_OPTION_TRAIN | CVM_OPTION_WEIGHTS | CVM_OPTION_NAMES | CVM_OPTION_OUTPUT |                \
     CVM_OPTION_CHECKPOINT | CVM_OPTION_EPOCHS | CVM_OPTION_SEED | CVM_OPTION_THREADS |            \
     CVM_OPTION_DATA | CVM_OPTION_JSON | CVM_OPTION_CACHE_SIZE | CVM_OPTION_CACHE_FILE |           \
     CVM_OPTION_REPORT | CVM_OPTION_CONFUSION | CVM_OPTIONS_COMPILE)
#define CLASSIFYING                                                                                \
    (CVM_OPTION_TRAIN | CVM_OPTION_CHECKPOINT | CVM_OPTION_RAW | CVM_OPTION_THREADS |              \
     CVM_OPTIONS_COMPILE)
#define GRAPH (CVM_OPTION_FUSION | CVM_OPTION_FORWARD | CVM_OPTION_BATCH | CVM_OPTIONS_COMPILE)
#define USING (CLASSIFYING | CVM_OPTION_WEIGHTS | CVM_OPTION_NAMES)

static const Command commands[] = {
    {"check", cvm_command_check, "FILE...", 1, -1, CVM_OPTION_JSON,
     "parse and check files: every mistake, with its place and mend",
     "  cvmc check models/lenet5.cvm\n"
     "  cvmc check --json *.cvm\n"},
    {"fmt", cvm_command_fmt, "FILE...", 1, -1,
     CVM_OPTION_CHECK | CVM_OPTION_DIFF | CVM_OPTION_STDOUT | CVM_OPTION_JSON,
     "lay files out in the canonical way, in place; - for stdin to stdout",
     "  cvmc fmt *.cvm\n"
     "  cvmc fmt --check *.cvm           # for continuous integration\n"
     "  cvmc fmt --diff net.cvm          # what would change?\n"
     "  cvmc fmt - < net.cvm             # for editors\n"},
    {"run", cvm_command_run, "FILE [IMAGE...]", 1, -1,
     TRAINING | CVM_OPTION_MODEL | CVM_OPTION_RAW | CVM_OPTION_LOGITS,
     "do what the file says: train, evaluate, classify the images",
     "  cvmc run models/lenet5.cvm\n"
     "  cvmc run models/lenet5.cvm --checkpoint lenet5.safetensors shoe.png\n"
     "  cvmc run models/vgg16.cvm --weights vgg16.safetensors cat.jpg\n"},
    {"train", cvm_command_train, "FILE", 1, 1, TRAINING | CVM_OPTION_RESUME | CVM_OPTION_STOP_AFTER,
     "train, with a checkpoint after each epoch",
     "  cvmc train models/lenet5.cvm\n"
     "  cvmc train models/lenet5.cvm --epochs 10 -o shoes.safetensors\n"
     "  cvmc train models/lenet5.cvm --resume\n"},
    {"eval", cvm_command_eval, "FILE {--checkpoint|--weights} PATH", 1, 1,
     USING | CVM_OPTION_DATA | CVM_OPTION_JSON | CVM_OPTION_REPORT | CVM_OPTION_CONFUSION,
     "accuracy and loss on the test set, and accuracy per class",
     "  cvmc eval models/lenet5.cvm --checkpoint lenet5.safetensors\n"
     "  cvmc eval models/lenet5.cvm --checkpoint lenet5.safetensors --report shoes.html\n"},
    {"predict", cvm_command_predict, "FILE {--checkpoint|--weights} PATH [IMAGE|FOLDER...]", 1, -1,
     USING | CVM_OPTION_MODEL | CVM_OPTION_JSON | CVM_OPTION_CSV | CVM_OPTION_TOP |
         CVM_OPTION_LOGITS | CVM_OPTION_LIST | CVM_OPTION_BATCH,
     "classify pictures: the five likeliest classes of each",
     "  cvmc predict models/lenet5.cvm --checkpoint lenet5.safetensors shoe.png bag.png\n"
     "  cvmc predict models/vgg16.cvm --weights vgg16.safetensors cat.jpg\n"
     "  cvmc predict models/vgg16.cvm --weights vgg16.safetensors --csv --top 1 photos\n"
     "  find / -name '*.jpg' | cvmc predict models/vgg16.cvm --weights vgg16.safetensors \\\n"
     "      --json --list -\n"},
    {"samples", cvm_command_samples, "FILE {--checkpoint PATH|--augmented}", 1, 1,
     CLASSIFYING | CVM_OPTION_DATA | CVM_OPTION_COUNT | CVM_OPTION_WRONG | CVM_OPTION_SEED |
         CVM_OPTION_PNG | CVM_OPTION_ASCII | CVM_OPTION_AUGMENTED,
     "show pictures of the test set with their predictions, or augmented ones to learn from",
     "  cvmc samples models/lenet5.cvm --checkpoint lenet5.safetensors --png samples.png\n"
     "  cvmc samples models/lenet5.cvm --checkpoint lenet5.safetensors --wrong --count 20\n"
     "  cvmc samples models/lenet5.cvm --checkpoint lenet5.safetensors --seed 7   # another "
     "choice\n"
     "  cvmc samples flowers.cvm --augmented --png augmented.png\n"},
    {"explain", cvm_command_explain, "FILE", 1, 1,
     CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_JSON | CVM_OPTION_KERNELS |
         CVM_OPTION_THREADS | CVM_OPTION_BLAS | GRAPH,
     "a table of the layers: shapes, parameters, FLOPs, receptive fields",
     "  cvmc explain models/lenet5.cvm\n"
     "  cvmc explain models/lenet5.cvm --fusion --forward\n"
     "  cvmc explain models/vgg16.cvm --kernels --batch 8\n"},
    {"ab", cvm_command_ab, "FILE {--a SETTINGS --b SETTINGS | --each}", 1, 1,
     CVM_OPTION_A | CVM_OPTION_B | CVM_OPTION_EACH | CVM_OPTION_INTERVAL | CVM_OPTION_TIME |
         CVM_OPTION_JSON | CVM_OPTION_HTML | CVM_OPTION_TOLERANCE | CVM_OPTIONS_TRIAL,
     "two ways of compiling against each other: same results? which is faster?",
     "  cvmc ab models/lenet5.cvm --a default --b none\n"
     "  cvmc ab models/lenet5.cvm --a 'mode=forward threads=1' --b 'mode=forward threads=2'\n"
     "  cvmc ab models/vgg16.cvm --a default --b -fuse-epilogue --html vgg16.html\n"
     "  cvmc ab models/alexnet.cvm --a default --b precision=bf16-weights --tolerance 0.01\n"
     "  cvmc ab models/lenet5.cvm --each\n"},
    {"bisect", cvm_command_bisect, "FILE [--bad COMMAND]", 1, 1,
     CVM_OPTION_BAD | CVM_OPTION_TOLERANCE | CVM_OPTION_FORWARD | CVM_OPTION_OUTPUT |
         CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_BATCH | CVM_OPTION_PASSES |
         CVM_OPTION_PASS_LIMIT | CVM_OPTION_CONV | CVM_OPTION_PRECISION | CVM_OPTION_CPU |
         CVM_OPTION_NO_TUNING,
     "find the pass, and its application, that changes the results or makes a command fail",
     "  cvmc bisect models/lenet5.cvm                             # against no passes at all\n"
     "  cvmc bisect models/lenet5.cvm --tolerance 0               # to the last bit\n"
     "  cvmc bisect models/lenet5.cvm --bad './check.sh'          # reads CVM_PASSES\n"
     "  cvmc bisect models/lenet5.cvm --bad 'cvmc eval models/lenet5.cvm {} \\\n"
     "      --checkpoint lenet5.safetensors | grep -q 91.1'\n"},
    {"verify", cvm_command_verify, "FILE", 1, 1,
     CVM_OPTION_ERROR | CVM_OPTION_WITHIN | CVM_OPTION_FORWARD | CVM_OPTION_TRAIN |
         CVM_OPTION_MODEL | CVM_OPTION_BATCH | CVM_OPTION_THREADS | CVM_OPTION_SEED |
         CVM_OPTION_CHECKPOINT | CVM_OPTION_RAW | CVM_OPTION_WEIGHTS | CVM_OPTION_NAMES |
         CVM_OPTION_JSON | CVM_OPTIONS_COMPILE,
     "compiled code against reference functions, tensor by tensor; gradients; bits",
     "  cvmc verify models/lenet5.cvm\n"
     "  cvmc verify models/vgg16.cvm --forward --cpu host --seconds 30\n"
     "  cvmc verify models/lenet5.cvm --checkpoint lenet5.safetensors --batch 8 -v\n"
     "  cvmc dump net.cvm --stage graph > net.graph && cvmc verify net.graph\n"},
    {"passes", cvm_command_passes, "[FILE]", 0, 1,
     CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_JSON | CVM_OPTION_FORWARD | CVM_OPTION_BATCH |
         CVM_OPTIONS_COMPILE,
     "the passes, and what each does to a model",
     "  cvmc passes\n"
     "  cvmc passes models/lenet5.cvm --forward\n"
     "  cvmc passes models/lenet5.cvm --passes=-layout --pass-limit fuse-epilogue=3\n"},
    {"bench", cvm_command_bench, "FILE", 1, 1,
     CVM_OPTION_TRAINING | CVM_OPTION_MODEL | CVM_OPTION_BATCH | CVM_OPTION_DATA |
         CVM_OPTION_THREADS | CVM_OPTION_SECONDS | CVM_OPTION_REPEAT | CVM_OPTION_TRACE |
         CVM_OPTION_TUNE | CVM_OPTION_JSON | CVM_OPTIONS_COMPILE,
     "how fast it runs: time, FLOP/s and share of the machine's best, kernel by kernel",
     "  cvmc bench models/lenet5.cvm --batch 64\n"
     "  cvmc bench models/lenet5.cvm --train --threads 1\n"
     "  cvmc bench models/vgg16.cvm --tune --seconds 120   # later compilations go by it\n"
     "  cvmc bench models/lenet5.cvm --trace lenet5.json   # open it in ui.perfetto.dev\n"},
    {"dump", cvm_command_dump, "FILE --stage STAGE", 1, 1,
     CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_STAGE | CVM_OPTION_FORWARD |
         CVM_OPTION_BATCH | CVM_OPTION_DOT | CVM_OPTION_SVG | CVM_OPTION_BEFORE_AFTER |
         CVM_OPTIONS_COMPILE,
     "what the compiler makes of it, at any stage, as text",
     "  cvmc dump models/lenet5.cvm --stage graph --forward\n"
     "  cvmc dump models/lenet5.cvm --stage fused --passes=-fuse-pointwise\n"
     "  cvmc dump models/lenet5.cvm --stage fused --svg --before-after > lenet5.svg\n"},
    {"build", cvm_command_build, "FILE", 1, 1,
     CVM_OPTION_TRAINABLE | CVM_OPTION_FORWARD | CVM_OPTION_MODEL | CVM_OPTION_CHECKPOINT |
         CVM_OPTION_RAW | CVM_OPTION_WEIGHTS | CVM_OPTION_NAMES | CVM_OPTION_OUTPUT |
         CVM_OPTION_BATCH | CVM_OPTION_CPUS | CVM_OPTION_EMBED | CVM_OPTION_PACKED |
         CVM_OPTION_BLAS | CVM_OPTION_EMIT | CVM_OPTION_DEBUG | CVM_OPTION_PASSES |
         CVM_OPTION_PASS_LIMIT | CVM_OPTION_CONV | CVM_OPTION_PRECISION | CVM_OPTION_NO_CACHE |
         CVM_OPTION_NO_TUNING,
     "the model as a native shared object with a C header, which need nothing of cvm",
     "  cvmc build models/lenet5.cvm -o lenet5      # lenet5.so and lenet5.h\n"
     "  cvmc build models/lenet5.cvm --checkpoint lenet5.safetensors --embed-weights\n"
     "  cvmc build models/lenet5.cvm --train        # fine-tunes where the object is used\n"
     "  cvmc build models/vgg16.cvm --batch 8 --cpu x86-64-v3,x86-64-v4\n"},
    {"inspect", cvm_command_inspect, "OBJECT", 1, 1, CVM_OPTION_JSON,
     "what an object that cvmc built holds, without running it",
     "  cvmc inspect lenet5.so\n"
     "  cvmc inspect --json lenet5.so\n"},
    {"import", cvm_command_import, "FILE.onnx", 1, 1, CVM_OPTION_OUTPUT,
     "an ONNX model as a .cvm file, and its weights beside it",
     "  cvmc import vgg16.onnx                        # vgg16.cvm and vgg16.safetensors\n"
     "  cvmc run vgg16.cvm --weights vgg16.safetensors cat.jpg\n"},
    {"export", cvm_command_export, "FILE --onnx PATH", 1, 1,
     CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_CHECKPOINT | CVM_OPTION_RAW |
         CVM_OPTION_WEIGHTS | CVM_OPTION_NAMES | CVM_OPTION_ONNX,
     "a model with its parameters as an ONNX file",
     "  cvmc export models/lenet5.cvm --checkpoint lenet5.safetensors --onnx lenet5.onnx\n"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(FILE *stream) {
    fputs("cvmc compiles image classifiers written in cvm to native code, trains and runs them.\n\n"
          "usage: cvmc COMMAND FILE [OPTION...]\n\n",
          stream);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("  version   which cvmc this is\n"
          "  help      this text; cvmc COMMAND --help says more of one\n\n"
          "first steps:\n"
          "  cvmc check models/lenet5.cvm       # is it right?\n"
          "  cvmc explain models/lenet5.cvm     # what is it made of?\n"
          "  cvmc run models/lenet5.cvm         # train and evaluate it\n\n"
          "exit codes: 0 done, 1 the input is at fault, 2 the command line is, 3 the machine is\n",
          stream);
}

static void print_command_help(const Command *command) {
    printf("cvmc %s: %s\n\nusage: cvmc %s %s [OPTION...]\n\noptions:\n", command->name,
           command->help, command->name, command->arguments);
    cvm_options_print_help(command->options | CVM_OPTIONS_ALWAYS, stdout);
    printf("\nexamples:\n%s", command->examples);
}

static const Command *find_command(const char *name) {
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        names[i] = commands[i].name;
    }
    const char *nearest = cvm_nearest_name(name, names, COMMAND_COUNT);
    if (nearest)
        cvm_report_error("there is no command '%s'; did you mean '%s'?", name, nearest);
    else
        cvm_report_error("there is no command '%s'; cvmc help lists them", name);
    return NULL;
}

static int run_command(const Command *command, int argc, char **argv) {
    CvmOptions options;
    if (!cvm_options_parse(command->name, command->options | CVM_OPTIONS_ALWAYS, argc, argv,
                           &options))
        return CVM_EXIT_USAGE;
    if (options.help) {
        print_command_help(command);
        return CVM_EXIT_DONE;
    }
    if (options.argument_count < command->least ||
        (command->most >= 0 && options.argument_count > command->most)) {
        cvm_report_error("usage: cvmc %s %s [OPTION...]; cvmc %s --help says more", command->name,
                         command->arguments, command->name);
        return CVM_EXIT_USAGE;
    }
    return command->run(&options);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return CVM_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        puts("cvmc " CVM_VERSION);
        return CVM_EXIT_DONE;
    }
    bool help = strcmp(name, "help") == 0;
    if ((help && argc == 2) || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return CVM_EXIT_DONE;
    }
    const Command *command = find_command(help ? argv[2] : name);
    if (!command)
        return CVM_EXIT_USAGE;
    if (help) {
        print_command_help(command);
        return CVM_EXIT_DONE;
    }
    return run_command(command, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    int code = dispatch(argc, argv);
    /* results that never reached the disk must not look like success */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CVM_EXIT_DONE) {
        cvm_report_error("the output could not be written");
        code = CVM_EXIT_MACHINE;
    }
    return code;
}
