/* Tells of pictures what they show:
 *
 *     cvmc build models/lenet5.cvm -o model
 *     cc examples/classify.c ./model.so -I. -Wl,-rpath,'$ORIGIN' -o classify
 *     ./classify lenet5.safetensors shoe.pgm bag.pgm
 */
#include "model.h"
#include "picture.h"

static int fail(const char *doing) {
    fprintf(stderr, "%s: %s\n", doing, model_message());
    return 1;
}

static int classify(const model_model *model, model_context *context, const char *path) {
    static float image[MODEL_INPUT_ELEMENTS];
    float probabilities[MODEL_CLASSES];
    Picture picture;
    if (!read_picture(path, &picture)) {
        fprintf(stderr, "%s is no picture in the PGM or PPM format\n", path);
        return 1;
    }
    const model_picture rows = {.size = sizeof rows,
                                .pixels = picture.pixels,
                                .width = picture.width,
                                .height = picture.height,
                                .channels = picture.channels};
    model_status status = model_prepare(model, &rows, image);
    free(picture.pixels);
    if (status || model_run(context, image, 1, NULL, probabilities))
        return fail(path);
    int best = 0;
    for (int i = 1; i < MODEL_CLASSES; i++)
        if (probabilities[i] > probabilities[best])
            best = i;
    const char *name = model_class_name(best);
    printf("%s: %s (class %d), %.1f%%\n", path, name ? name : "?", best,
           (double)probabilities[best] * 100);
    return 0;
}

int main(int argc, char **argv) {
    model_model *model;
    model_context *context;
    int failed = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: classify WEIGHTS PICTURE...\n");
        return 2;
    }
    if (model_open(argv[1], &model))
        return fail(argv[1]);
    if (model_context_create(model, NULL, &context))
        return fail("making a context");
    for (int i = 2; i < argc; i++)
        failed |= classify(model, context, argv[i]);
    model_context_destroy(context);
    model_close(model);
    return failed;
}
