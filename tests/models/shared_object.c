/* `cvmc build`: the shared object classifies to the bits of `cvmc predict`, needs nothing but the C
 * library, and takes every bad call with a status. */
#include "runtime/image.h"
#include "tests/support/net.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"
#include "tests/support/weights_file.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

enum { CLASSES = 4, ELEMENTS = 28 * 28, PICTURES = 7 };

static CvmTestPlace place;
static CvmTestNet small;
static char weights[512];
static const char *const pictures[] = {"rows.png", "columns.png", "square.png", "ring.png"};

static const char *path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", place.folder, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 160, 48);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--stop-after", "2", NULL);
    cvm_test_expect(&place, 0, "wrote small.so and small.h", NULL, "build", "small.cvm", "--batch",
                    "4", NULL);
    cvm_test_net_load(&place, "small", false, &small);
    for (int kind = 0; kind < CLASSES; kind++)
        cvm_test_write_pattern_png(&place, pictures[kind], kind, 28);
    path_of("small.safetensors", weights);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_net_unload(&small);
    cvm_test_place_remove(&place);
    return 0;
}

static cvm_net_model *open_small(void) {
    cvm_net_model *model = NULL;
    if (small.open(weights, &model))
        fail_msg("%s", small.message());
    return model;
}

static cvm_net_context *create(cvm_net_model *model, int threads) {
    const cvm_net_options options = {.size = sizeof options, .threads = threads};
    cvm_net_context *context = NULL;
    if (small.context_create(model, &options, &context))
        fail_msg("%s", small.message());
    return context;
}

/* What the command says of a picture, as [CLASSES]. */
static void predict(const char *picture, const char *precision, float *logits) {
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint", "small.safetensors", "--json",
                      "--logits", "--precision", precision, picture, NULL);
    assert_int_equal(result.code, 0);
    cJSON *picture_line = cJSON_Parse(result.out);
    const cJSON *numbers = cJSON_GetObjectItem(picture_line, "logits");
    for (int i = 0; i < CLASSES; i++)
        logits[i] = (float)cJSON_GetArrayItem(numbers, i)->valuedouble;
    cJSON_Delete(picture_line);
    cvm_test_result_free(&result);
}

/* An image from a picture of the place, as the object prepares it. */
static void prepare(const cvm_net_model *model, const char *name, float *image) {
    char path[512];
    CvmImage picture;
    CvmError error;
    assert_true(cvm_image_read(path_of(name, path), 1, &picture, &error));
    const cvm_net_picture rows = {.size = sizeof rows,
                                  .pixels = picture.pixels,
                                  .width = picture.width,
                                  .height = picture.height,
                                  .channels = 1};
    if (small.prepare(model, &rows, image))
        fail_msg("%s", small.message());
    cvm_image_free(&picture);
}

static void it_gives_the_bits_of_predict(void **state) {
    (void)state;
    cvm_net_model *model = open_small();
    cvm_net_context *context = create(model, 2);
    for (int i = 0; i < CLASSES; i++) {
        float image[ELEMENTS], expected[CLASSES], logits[CLASSES], probabilities[CLASSES], sum = 0;
        predict(pictures[i], "f32", expected);
        prepare(model, pictures[i], image);
        assert_int_equal(small.run(context, image, 1, logits, probabilities), CVM_NET_OK);
        assert_memory_equal(logits, expected, sizeof logits);
        for (int c = 0; c < CLASSES; c++)
            sum += probabilities[c];
        assert_true(fabsf(sum - 1) < 1e-5f);
    }
    small.context_destroy(context);
    assert_int_equal(small.close(model), CVM_NET_OK);
}

static void weights_may_be_half_as_long(void **state) {
    (void)state;
    CvmTestNet half;
    cvm_net_model *model = NULL;
    cvm_net_context *context = NULL;
    float image[ELEMENTS], expected[CLASSES], logits[CLASSES];
    cvm_test_expect(&place, 0, "wrote half.so", NULL, "build", "small.cvm", "-o", "half",
                    "--precision", "bf16-weights", NULL);
    cvm_test_expect(&place, 0, "precision bf16-weights", NULL, "inspect", "half.so", NULL);
    cvm_test_net_load(&place, "half", false, &half);
    assert_int_equal(half.open(weights, &model), CVM_NET_OK);
    assert_int_equal(half.context_create(model, NULL, &context), CVM_NET_OK);
    prepare(model, pictures[0], image);
    predict(pictures[0], "bf16-weights", expected);
    assert_int_equal(half.run(context, image, 1, logits, NULL), CVM_NET_OK);
    assert_memory_equal(logits, expected, sizeof logits);
    predict(pictures[0], "f32", expected);
    assert_memory_not_equal(logits, expected, sizeof logits);
    half.context_destroy(context);
    assert_int_equal(half.close(model), CVM_NET_OK);
    cvm_test_net_unload(&half);
}

static void fill(float *images, int count) {
    for (int i = 0; i < count * ELEMENTS; i++)
        images[i] = (float)((i * 37) % 101) / 50 - 1;
}

/* A context in the caller's memory; batches of four and single images; any number of threads. */
static void any_count_and_any_memory_give_the_same(void **state) {
    (void)state;
    static float images[PICTURES * ELEMENTS];
    float one[PICTURES * CLASSES], all[PICTURES * CLASSES], probabilities[PICTURES * CLASSES];
    fill(images, PICTURES);
    cvm_net_model *model = open_small();
    cvm_net_context *first = create(model, 1), *second = NULL;
    size_t bytes = small.context_bytes();
    cvm_net_options options = {.size = sizeof options,
                               .threads = 3,
                               .memory = aligned_alloc(64, (bytes + 63) / 64 * 64),
                               .memory_bytes = bytes};
    memset(options.memory, 0x5A, bytes);
    assert_int_equal(small.context_create(model, &options, &second), CVM_NET_OK);
    for (int i = 0; i < PICTURES; i++)
        assert_int_equal(small.run(first, images + i * ELEMENTS, 1, one + i * CLASSES, NULL),
                         CVM_NET_OK);
    assert_int_equal(small.run(second, images, PICTURES, all, probabilities), CVM_NET_OK);
    assert_memory_equal(one, all, sizeof one);
    assert_int_equal(small.run(second, images, 0, all, NULL), CVM_NET_OK);
    assert_int_equal(small.run(first, images, PICTURES, NULL, all), CVM_NET_OK);
    assert_memory_equal(all, probabilities, sizeof all);
    small.context_destroy(first);
    small.context_destroy(second);
    free(options.memory);
    assert_int_equal(small.close(model), CVM_NET_OK);
}

static void a_run_allocates_nothing(void **state) {
    (void)state;
    float image[ELEMENTS] = {0}, logits[CLASSES];
    if (getenv("CVM_SANITIZED"))
        skip();
    cvm_net_model *model = open_small();
    cvm_net_context *context = create(model, 2);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 5; i++)
        assert_int_equal(small.run(context, image, 1, logits, NULL), CVM_NET_OK);
    assert_int_equal(mallinfo2().uordblks, before);
    small.context_destroy(context);
    assert_int_equal(small.close(model), CVM_NET_OK);
}

static void it_says_what_it_is(void **state) {
    (void)state;
    assert_int_equal(small.abi(), CVM_NET_ABI);
    assert_string_equal(small.class_name(3), "ring");
    assert_null(small.class_name(4));
    assert_null(small.class_name(-1));
    assert_int_equal(small.check_cpu(), CVM_NET_OK);
    assert_string_equal(small.status_name(CVM_NET_BAD_WEIGHTS), "bad weights");
    assert_null(small.status_name((cvm_net_status)-1));
    assert_null(small.status_name((cvm_net_status)99));
    cJSON *facts = cJSON_Parse(small.facts());
    assert_string_equal(cJSON_GetObjectItem(facts, "model")->valuestring, "Small");
    const cJSON *parameters = cJSON_GetObjectItem(facts, "parameters");
    assert_int_equal(cJSON_GetArraySize(parameters), small.parameter_count());
    cvm_net_parameter parameter = {.size = sizeof parameter};
    assert_int_equal(small.parameter_at(0, &parameter), CVM_NET_OK);
    assert_string_equal(parameter.name,
                        cJSON_GetObjectItem(parameters->child, "name")->valuestring);
    assert_int_equal(parameter.rank, 4);
    assert_int_equal(parameter.elements, 4 * 25);
    assert_true(parameter.learned);
    float values[100];
    cvm_net_model *model = open_small();
    assert_int_equal(small.get_parameter(model, parameter.name, values, 100), CVM_NET_OK);
    assert_true(values[0] != 0);
    assert_int_equal(small.close(model), CVM_NET_OK);
    cJSON_Delete(facts);
}

static void expect(cvm_net_status status, cvm_net_status wanted, const char *sentence) {
    if (status != wanted || !strstr(small.message(), sentence))
        fail_msg("%s: %s", small.status_name(status), small.message());
}

static void bad_calls_give_a_status(void **state) {
    (void)state;
    float image[ELEMENTS] = {0}, logits[CLASSES];
    cvm_net_model *model = open_small(), *none = NULL;
    cvm_net_context *context = create(model, 1), *other = NULL;
    expect(small.open(weights, NULL), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.open(NULL, &none), CVM_NET_BAD_ARGUMENT, "no weights are embedded");
    expect(small.open("/nowhere/at.all", &none), CVM_NET_NO_FILE, "No such file");
    expect(small.open_memory(NULL, 3, &none), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.open_memory("{}", 2, &none), CVM_NET_BAD_WEIGHTS, "safetensors");
    expect(small.get_parameter(NULL, "x", logits, 4), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.get_parameter(model, "x", logits, 4), CVM_NET_BAD_ARGUMENT, "no parameter 'x'");
    expect(small.get_parameter(model, "head.linear1.bias", logits, 3), CVM_NET_BAD_ARGUMENT,
           "4 elements");
    expect(small.parameter_at(0, NULL), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.parameter_at(99, &(cvm_net_parameter){.size = sizeof(cvm_net_parameter)}),
           CVM_NET_BAD_ARGUMENT, "no 99");
    expect(small.parameter_at(0, &(cvm_net_parameter){.size = 8}), CVM_NET_BAD_ARGUMENT, "size");
    expect(small.context_create(NULL, NULL, &other), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.context_create(model, NULL, NULL), CVM_NET_BAD_ARGUMENT, "null");
    cvm_net_options options = {.size = 1};
    expect(small.context_create(model, &options, &other), CVM_NET_BAD_ARGUMENT, "options.size");
    options = (cvm_net_options){.size = sizeof options, .threads = 1000};
    expect(small.context_create(model, &options, &other), CVM_NET_BAD_ARGUMENT, "1000 threads");
    _Alignas(64) char memory[128];
    options = (cvm_net_options){.size = sizeof options, .memory = memory, .memory_bytes = 64};
    expect(small.context_create(model, &options, &other), CVM_NET_BAD_ARGUMENT, "64 bytes");
    options.memory = memory + 8;
    expect(small.context_create(model, &options, &other), CVM_NET_BAD_ARGUMENT, "aligned");
    expect(small.run(NULL, image, 1, logits, NULL), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.run(context, NULL, 1, logits, NULL), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.run(context, image, 1, NULL, NULL), CVM_NET_BAD_ARGUMENT, "nothing");
    expect(small.run(context, image, 1, (float *)(memory + 1), NULL), CVM_NET_BAD_ARGUMENT,
           "aligned");
    expect(small.close(model), CVM_NET_BAD_ORDER, "contexts");
    assert_null(none);
    assert_null(other);
    small.context_destroy(NULL);
    small.context_destroy(context);
    assert_int_equal(small.close(model), CVM_NET_OK);
    assert_int_equal(small.close(NULL), CVM_NET_OK);
}

static void bad_pictures_give_a_status(void **state) {
    (void)state;
    float image[ELEMENTS];
    uint8_t pixels[ELEMENTS] = {0};
    cvm_net_model *model = open_small();
    const cvm_net_picture good = {sizeof good, pixels, 28, 28, 1, 0};
    cvm_net_picture bad = good;
    expect(small.prepare(NULL, &good, image), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.prepare(model, NULL, image), CVM_NET_BAD_ARGUMENT, "null");
    expect(small.prepare(model, &good, NULL), CVM_NET_BAD_ARGUMENT, "null");
    bad.pixels = NULL;
    expect(small.prepare(model, &bad, image), CVM_NET_BAD_ARGUMENT, "pixels");
    bad = good, bad.size = 0;
    expect(small.prepare(model, &bad, image), CVM_NET_BAD_ARGUMENT, "picture.size");
    bad = good, bad.channels = 2;
    expect(small.prepare(model, &bad, image), CVM_NET_BAD_ARGUMENT, "channels is 2");
    bad = good, bad.width = 0;
    expect(small.prepare(model, &bad, image), CVM_NET_BAD_ARGUMENT, "0 pixels wide");
    bad = good, bad.height = 27;
    expect(small.prepare(model, &bad, image), CVM_NET_BAD_ARGUMENT, "27 high");
    assert_int_equal(small.close(model), CVM_NET_OK);
}

static bool rename_one(CvmFileTensor *tensor, void *context) {
    (void)context;
    if (!strcmp(tensor->name, "head.linear1.bias"))
        tensor->name = "head.linear7.bias";
    return true;
}

static void weights_of_another_model_are_refused(void **state) {
    (void)state;
    char path[512];
    cvm_net_model *model = NULL;
    cvm_test_write_weights(&place, "small.safetensors", "plain.safetensors", NULL, NULL);
    assert_int_equal(small.open(path_of("plain.safetensors", path), &model), CVM_NET_OK);
    float image[ELEMENTS];
    const uint8_t pixels[ELEMENTS] = {0};
    const cvm_net_picture picture = {sizeof picture, pixels, 28, 28, 1, 0};
    expect(small.prepare(model, &picture, image), CVM_NET_BAD_ORDER, "depends on the training set");
    assert_int_equal(small.close(model), CVM_NET_OK);
    cvm_test_write_weights(&place, "small.safetensors", "renamed.safetensors", rename_one, NULL);
    model = NULL;
    expect(small.open(path_of("renamed.safetensors", path), &model), CVM_NET_BAD_WEIGHTS,
           "head.linear1.bias [4] is missing");
    expect(small.open(path, &model), CVM_NET_BAD_WEIGHTS, "head.linear7.bias is left over");
    assert_null(model);
}

static void the_same_input_gives_the_same_bytes(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", "once", NULL);
    char from[512], to[512];
    rename(path_of("once.so", from), path_of("first.so", to));
    rename(path_of("once.h", from), path_of("first.h", to));
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", "once", "--no-cache", NULL);
    assert_true(cvm_test_same_bytes(&place, "once.so", "first.so"));
    assert_true(cvm_test_same_bytes(&place, "once.h", "first.h"));
}

static void weights_may_be_embedded(void **state) {
    (void)state;
    CvmTestNet whole;
    float image[ELEMENTS], expected[CLASSES], logits[CLASSES];
    int before = cvm_test_entry_count(&place, ".");
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", "whole", "--checkpoint",
                    "small.safetensors", "--embed-weights", NULL);
    assert_int_equal(cvm_test_entry_count(&place, "."), before + 2);
    cvm_test_net_load(&place, "whole", false, &whole);
    cvm_net_model *model = NULL, *other = open_small();
    cvm_net_context *context = NULL;
    assert_int_equal(whole.open(NULL, &model), CVM_NET_OK);
    assert_int_equal(whole.context_create(model, NULL, &context), CVM_NET_OK);
    predict("ring.png", "f32", expected);
    prepare(other, "ring.png", image);
    assert_int_equal(whole.run(context, image, 1, logits, NULL), CVM_NET_OK);
    assert_memory_equal(logits, expected, sizeof logits);
    whole.context_destroy(context);
    assert_int_equal(whole.close(model), CVM_NET_OK);
    assert_int_equal(small.close(other), CVM_NET_OK);
    cvm_test_net_unload(&whole);
}

static void any_file_name_will_do(void **state) {
    (void)state;
    CvmTestNet odd;
    cvm_net_model *model = NULL;
    char path[512];
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", "3 \"odd\" \\nets",
                    "--checkpoint", "small.safetensors", "--embed-weights", NULL);
    char from[512];
    rename(path_of("3 \"odd\" \\nets.so", from), path_of("_3__odd___nets.so", path));
    cvm_test_net_load(&place, "_3__odd___nets", false, &odd);
    assert_int_equal(odd.open(NULL, &model), CVM_NET_OK);
    assert_int_equal(odd.close(model), CVM_NET_OK);
    cvm_test_net_unload(&odd);
}

static void weights_may_lie_beside(void **state) {
    (void)state;
    char path[512];
    cvm_net_model *model = NULL;
    float beside[CLASSES], own[CLASSES];
    cvm_test_expect(&place, 0, "in beside-weights.safetensors", NULL, "build", "small.cvm", "-o",
                    "beside", "--weights", "small.safetensors", NULL);
    assert_int_equal(small.open(path_of("beside-weights.safetensors", path), &model), CVM_NET_OK);
    assert_int_equal(small.get_parameter(model, "head.linear1.bias", beside, CLASSES), CVM_NET_OK);
    assert_int_equal(small.close(model), CVM_NET_OK);
    model = open_small();
    assert_int_equal(small.get_parameter(model, "head.linear1.bias", own, CLASSES), CVM_NET_OK);
    assert_int_equal(small.close(model), CVM_NET_OK);
    assert_memory_equal(beside, own, sizeof own);
}

static void it_needs_the_c_library_alone(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    char *needs = cvm_test_shell(&place, "objdump -p small.so | grep NEEDED");
    for (char *line = strtok(needs, "\n"); line; line = strtok(NULL, "\n"))
        if (!strstr(line, "libc.so") && !strstr(line, "libm.so") && !strstr(line, "ld-linux"))
            fail_msg("%s", line);
    free(needs);
    char *exported = cvm_test_shell(&place, "nm -D --defined-only small.so | cut -d' ' -f3");
    int count = 0;
    for (char *line = strtok(exported, "\n"); line; line = strtok(NULL, "\n"), count++)
        if (strncmp(line, "small_", 6) != 0)
            fail_msg("%s is exported", line);
    assert_int_equal(count, 18);
    free(exported);
    struct stat status;
    char path[512];
    assert_int_equal(stat(path_of("small.so", path), &status), 0);
    assert_true(status.st_size < 200000);
}

/* A program in C99 with every warning on, that includes the header and links the object. */
static void a_c_program_links_it(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    cvm_test_write_text(
        &place, "main.c",
        "#include \"small.h\"\n"
        "#include <stdio.h>\n"
        "int main(void) {\n"
        "    static float images[3 * SMALL_INPUT_ELEMENTS];\n"
        "    float probabilities[3 * SMALL_CLASSES];\n"
        "    small_model *model;\n"
        "    small_context *context;\n"
        "    if (small_abi() != SMALL_ABI || small_open(\"small.safetensors\", &model) ||\n"
        "        small_context_create(model, NULL, &context) ||\n"
        "        small_run(context, images, 3, NULL, probabilities)) {\n"
        "        puts(small_message());\n"
        "        return 1;\n"
        "    }\n"
        "    printf(\"%s %.3f\\n\", small_class_name(0), (double)probabilities[0]);\n"
        "    small_context_destroy(context);\n"
        "    return small_close(model);\n"
        "}\n");
    char *out = cvm_test_shell(
        &place, "cc -std=c99 -Wall -Wextra -Wpedantic -Werror main.c ./small.so -o main && "
                "LD_LIBRARY_PATH=. ./main");
    assert_non_null(strstr(out, "rows 0."));
    free(out);
}

/* A program that prints the bits of one answer, linked with what `build` wrote under that name. */
static char *answer_of(const char *name, const char *files) {
    char text[2048], command[1024];
    snprintf(text, sizeof text,
             "#include \"%s.h\"\n#include <stdio.h>\n"
             "int main(void) {\n"
             "    static float image[28 * 28] = {1, -1, 0.5f};\n"
             "    float logits[4];\n"
             "    %s_model *model;\n    %s_context *context;\n"
             "    if (%s_open(\"small.safetensors\", &model) ||\n"
             "        %s_context_create(model, NULL, &context) ||\n"
             "        %s_run(context, image, 1, logits, NULL)) return 1;\n"
             "    for (int i = 0; i < 4; i++) printf(\"%%a \", (double)logits[i]);\n"
             "    %s_context_destroy(context);\n"
             "    return %s_close(model);\n"
             "}\n",
             name, name, name, name, name, name, name, name);
    cvm_test_write_text(&place, "answer.c", text);
    snprintf(command, sizeof command,
             "cc answer.c %s -lm -lpthread -o answer && LD_LIBRARY_PATH=. ./answer", files);
    return cvm_test_shell(&place, command);
}

static void every_form_gives_the_same_bits(void **state) {
    (void)state;
    static const struct {
        const char *emit, *files, *hint;
    } rows[] = {{"static", "form.a", "form.a -lm"},
                {"obj", "form.o form-runtime.o", "form.o form-runtime.o -lm"},
                {"asm", "form.s form-runtime.o", "form.s form-runtime.o -lm"},
                {"so", "./form.so", "form.so -Wl"}};
    if (getenv("CVM_SANITIZED"))
        skip();
    char *first = answer_of("small", "./small.so");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cvm_test_expect(&place, 0, "wrote form", NULL, "build", "small.cvm", "-o", "form", "--emit",
                        rows[i].emit, NULL);
        char hint[256];
        snprintf(hint, sizeof hint, "grep -F './%s' form.h", rows[i].hint);
        free(cvm_test_shell(&place, hint));
        char *answer = answer_of("form", rows[i].files);
        assert_string_equal(answer, first);
        free(answer);
    }
    free(first);
    cvm_test_expect(&place, 0, "wrote form.ll", NULL, "build", "small.cvm", "-o", "form", "--emit",
                    "llvm", NULL);
    cvm_test_expect(&place, 2, NULL, "--emit takes", "build", "small.cvm", "--emit", "wasm", NULL);
}

static void several_models_fit_into_one_program(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    for (int i = 0; i < 3; i++) {
        char name[16] = "one";
        name[2] = (char)('a' + i);
        cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", name, "--emit",
                        i == 2 ? "so" : "static", NULL);
    }
    cvm_test_write_text(&place, "several.c",
                        "#include \"ona.h\"\n#include \"onb.h\"\n#include \"onc.h\"\n"
                        "#include <stdio.h>\n"
                        "int main(void) {\n"
                        "    ona_model *a = NULL; onb_model *b = NULL; onc_model *c = NULL;\n"
                        "    if (ona_open(\"small.safetensors\", &a) ||\n"
                        "        onb_open(\"small.safetensors\", &b) ||\n"
                        "        onc_open(\"small.safetensors\", &c)) return 1;\n"
                        "    return ona_close(a) || onb_close(b) || onc_close(c);\n"
                        "}\n");
    free(cvm_test_shell(&place, "cc several.c ona.a onb.a ./onc.so -lm -lpthread "
                                "-Wl,-rpath,'$ORIGIN' -o several_models && ./several_models"));
}

static void code_for_several_processors_is_chosen_from(void **state) {
    (void)state;
    CvmTestNet net;
    cvm_net_model *model = NULL;
    cvm_net_context *context = NULL;
    float image[ELEMENTS] = {1}, logits[CLASSES], expected[CLASSES];
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", "several", "--cpu",
                    "x86-64,x86-64-v3,x86-64-v2,x86-64-v4", NULL);
    CvmTestResult told = cvm_test_cvmc(&place, "inspect", "several.so", NULL);
    const char *at = told.out; /* the best first, of which the first that runs is taken */
    static const char *const best_first[] = {"x86-64-v4,", "x86-64-v3,", "x86-64-v2,", "x86-64,"};
    for (int i = 0; i < 4; i++)
        assert_non_null(at = strstr(at, best_first[i]));
    cvm_test_result_free(&told);
    cvm_test_net_load(&place, "several", false, &net);
    assert_int_equal(net.open(weights, &model), CVM_NET_OK);
    assert_int_equal(net.context_create(model, NULL, &context), CVM_NET_OK);
    assert_int_equal(net.run(context, image, 1, logits, NULL), CVM_NET_OK);
    net.context_destroy(context);
    assert_int_equal(net.close(model), CVM_NET_OK);
    cvm_test_net_unload(&net);
    model = open_small();
    context = create(model, 1);
    assert_int_equal(small.run(context, image, 1, expected, NULL), CVM_NET_OK);
    for (int i = 0; i < CLASSES; i++)
        assert_true(fabsf(logits[i] - expected[i]) < 1e-4f);
    small.context_destroy(context);
    assert_int_equal(small.close(model), CVM_NET_OK);
}

static void inspect_tells_without_running(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "head.linear1.weight", NULL, "inspect", "small.so", NULL);
    cvm_test_expect(&place, 0, "\"model\":\"Small\"", NULL, "inspect", "small.so", "--json", NULL);
    cvm_test_expect(&place, 1, NULL, "no object that cvmc built", "inspect", "small.cvm", NULL);
    cvm_test_expect(&place, 3, NULL, "No such file", "inspect", "missing.so", NULL);
    size_t size;
    char *bytes = cvm_test_read(&place, "small.so", &size);
    for (size_t part = 1; part < 8; part++) { /* truncated anywhere */
        cvm_test_write(&place, "part.so", bytes, size * part / 8);
        cvm_test_expect(&place, 1, NULL, "no object", "inspect", "part.so", NULL);
    }
    free(bytes);
}

static void without_a_linker_that_is_said(void **state) {
    (void)state;
    char command[1024];
    snprintf(command, sizeof command,
             "mkdir -p none && PATH=$PWD/none '%s' build small.cvm -o unlinked; test $? = 3",
             getenv("CVMC"));
    char *said = cvm_test_shell(&place, command);
    assert_non_null(strstr(said, "CVM1802"));
    free(said);
    assert_false(cvm_test_exists(&place, "unlinked.so"));
    snprintf(command, sizeof command, "PATH=$PWD/none '%s' build small.cvm -o unlinked --emit obj",
             getenv("CVMC"));
    free(cvm_test_shell(&place, command));
    assert_true(cvm_test_exists(&place, "unlinked.o"));
}

static void bad_command_lines_are_refused(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--embed-weights", "build", "small.cvm", "--checkpoint",
                    "small.safetensors", NULL);
    cvm_test_expect(&place, 2, NULL, "--checkpoint", "build", "small.cvm", "--embed-weights", NULL);
    cvm_test_expect(&place, 2, NULL, "unknown CPU 'z80'", "build", "small.cvm", "--cpu", "z80",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "CVM1173", "build", "small.cvm", "--precision", "f8", NULL);
    cvm_test_expect(&place, 1, NULL, "CVM1608", "build", "small.cvm", "--train", "--precision",
                    "bf16", NULL);
    cvm_test_expect(&place, 3, NULL, "cannot write", "build", "small.cvm", "-o", "nowhere/small",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "-o needs a name", "build", "small.cvm", "-o", "out/", NULL);
    cvm_test_expect(&place, 2, NULL, "-o needs a name", "build", "small.cvm", "-o", "", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_the_bits_of_predict),
        cmocka_unit_test(weights_may_be_half_as_long),
        cmocka_unit_test(any_count_and_any_memory_give_the_same),
        cmocka_unit_test(a_run_allocates_nothing),
        cmocka_unit_test(it_says_what_it_is),
        cmocka_unit_test(bad_calls_give_a_status),
        cmocka_unit_test(bad_pictures_give_a_status),
        cmocka_unit_test(weights_of_another_model_are_refused),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(weights_may_be_embedded),
        cmocka_unit_test(any_file_name_will_do),
        cmocka_unit_test(weights_may_lie_beside),
        cmocka_unit_test(it_needs_the_c_library_alone),
        cmocka_unit_test(a_c_program_links_it),
        cmocka_unit_test(every_form_gives_the_same_bits),
        cmocka_unit_test(several_models_fit_into_one_program),
        cmocka_unit_test(code_for_several_processors_is_chosen_from),
        cmocka_unit_test(inspect_tells_without_running),
        cmocka_unit_test(without_a_linker_that_is_said),
        cmocka_unit_test(bad_command_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
