/* Goes on training on pictures of one's own, on a machine that has nothing but this program:
 *
 *     cvmc build models/lenet5.cvm --train -o model
 *     cc examples/fine_tune.c ./model.so -I. -Wl,-rpath,'$ORIGIN' -o fine_tune
 *     ./fine_tune lenet5.safetensors tuned.safetensors 20 7 shoe.pgm 8 bag.pgm
 *
 * That is 20 passes over pictures of the classes 7 and 8. A batch takes them in turn. */
#include "model.h"
#include "picture.h"

static int fail(const char *doing) {
    fprintf(stderr, "%s: %s\n", doing, model_message());
    return 1;
}

static int prepare(const model_model *model, const char *path, float *image) {
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
    return status ? fail(path) : 0;
}

/* One batch after another, of the pictures in turn. */
static int train(model_trainer *trainer, const float *images, const int32_t *labels, int count,
                 int passes) {
    static float batch[MODEL_TRAIN_BATCH * MODEL_INPUT_ELEMENTS];
    int32_t targets[MODEL_TRAIN_BATCH];
    int next = 0, steps = (passes * count + MODEL_TRAIN_BATCH - 1) / MODEL_TRAIN_BATCH;
    for (int step = 0; step < steps; step++) {
        float loss;
        for (int i = 0; i < MODEL_TRAIN_BATCH; i++, next = (next + 1) % count) {
            const float *image = images + (size_t)next * MODEL_INPUT_ELEMENTS;
            for (int e = 0; e < MODEL_INPUT_ELEMENTS; e++)
                batch[i * MODEL_INPUT_ELEMENTS + e] = image[e];
            targets[i] = labels[next];
        }
        if (model_step(trainer, batch, targets, MODEL_TRAIN_BATCH, &loss))
            return fail("a step");
        printf("step %d of %d: loss %.4f\n", step + 1, steps, (double)loss);
    }
    return 0;
}

int main(int argc, char **argv) {
    model_model *model;
    model_trainer *trainer;
    model_evaluation evaluation = {.size = sizeof evaluation};
    int count = (argc - 4) / 2;
    if (argc < 6 || argc % 2 != 0) {
        fprintf(stderr, "usage: fine_tune FROM TO PASSES {CLASS PICTURE}...\n");
        return 2;
    }
    float *images = malloc((size_t)count * MODEL_INPUT_ELEMENTS * sizeof *images);
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    if (!images || !labels)
        return 1;
    if (model_open(argv[1], &model))
        return fail(argv[1]);
    for (int i = 0; i < count; i++) {
        labels[i] = atoi(argv[4 + 2 * i]);
        if (prepare(model, argv[5 + 2 * i], images + (size_t)i * MODEL_INPUT_ELEMENTS))
            return 1;
    }
    if (model_trainer_create(model, NULL, &trainer) || model_set_rate(trainer, 0.01f))
        return fail("making a trainer");
    if (train(trainer, images, labels, count, atoi(argv[3])))
        return 1;
    if (model_evaluate(trainer, images, labels, (size_t)count, &evaluation) ||
        model_save_weights(trainer, argv[2]))
        return fail(argv[2]);
    printf("%d of %d pictures right; weights in %s\n", (int)evaluation.correct, count, argv[2]);
    model_trainer_destroy(trainer);
    model_close(model);
    free(images);
    free(labels);
    return 0;
}
