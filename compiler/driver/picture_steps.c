/* See picture_steps.h. */
#include "compiler/driver/picture_steps.h"

#include <math.h>
#include <stdarg.h>

enum { MOST = CVM_AUGMENT_KINDS + 5, TEXT_BYTES = 64, STEP_BYTES = 192 };

typedef struct Steps {
    char list[MOST][STEP_BYTES];
    int count;
} Steps;

__attribute__((format(printf, 2, 3))) static void add(Steps *steps, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(steps->list[steps->count++], STEP_BYTES, format, arguments);
    va_end(arguments);
}

/* Of one number where both sides have it: "256", "[280, 300]". */
static const char *size_text(int height, int width, char text[32]) {
    if (height == width)
        snprintf(text, 32, "%d", height);
    else
        snprintf(text, 32, "[%d, %d]", height, width);
    return text;
}

static void add_preparation(Steps *steps, const CvmPreparation *preparation) {
    char text[32];
    if (preparation->short_side)
        add(steps, "resize %d", preparation->short_side);
    if (preparation->resize_height)
        add(steps, "resize [%d, %d]", preparation->resize_height, preparation->resize_width);
    if (preparation->crop_height)
        add(steps, "crop %s", size_text(preparation->crop_height, preparation->crop_width, text));
}

static void add_augmentation(Steps *steps, const CvmAugmentation *all, const CvmAugmentStep *step) {
    char text[32];
    const char *size = size_text(all->height, all->width, text);
    switch (step->kind) {
    case CVM_AUGMENT_FLIP_HORIZONTAL:
        add(steps, "flip horizontal %g", step->amount);
        break;
    case CVM_AUGMENT_FLIP_VERTICAL:
        add(steps, "flip vertical %g", step->amount);
        break;
    case CVM_AUGMENT_SHIFT:
        add(steps, "shift %s", size_text(step->rows, step->columns, text));
        break;
    case CVM_AUGMENT_CROP:
        if (step->amount < 1)
            add(steps, "crop random(%g) to %s", step->amount, size);
        else
            add(steps, "crop random to %s", size);
        break;
    case CVM_AUGMENT_BRIGHTNESS:
        add(steps, "brightness %g", step->amount);
        break;
    case CVM_AUGMENT_CONTRAST:
        add(steps, "contrast %g", step->amount);
        break;
    case CVM_AUGMENT_ERASE:
        add(steps, "erase %g", step->amount);
        break;
    case CVM_AUGMENT_KINDS:
        break;
    }
}

/* ", " between numbers of 0 to 255. */
static void print_levels(const double *values, int count, char text[TEXT_BYTES]) {
    size_t used = 0;
    for (int c = 0; c < count && used < TEXT_BYTES; c++)
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s%.4g", c ? ", " : "",
                                 255 * values[c]);
}

static bool divides(const CvmNormalization *normalization) {
    for (int c = 0; c < normalization->channels; c++)
        if (fabs(255 * normalization->deviation[c] - 1) > 1e-9)
            return true;
    return false;
}

static void add_normalization(Steps *steps, const CvmNormalize *normalize) {
    const CvmNormalization *stated = &normalize->stated;
    char mean[TEXT_BYTES], deviation[TEXT_BYTES];
    print_levels(stated->mean, stated->channels, mean);
    print_levels(stated->deviation, stated->channels, deviation);
    if (normalize->kind == CVM_NORMALIZE_UNIT)
        add(steps, "normalize unit");
    else if (normalize->kind == CVM_NORMALIZE_MEAN_OF_TRAIN)
        add(steps, "normalize mean_of_train");
    else if (divides(stated))
        add(steps, "normalize mean(%s, deviation=[%s])", mean, deviation);
    else
        add(steps, "normalize mean(%s)", mean);
}

static Steps steps_of(const CvmTrain *train, bool learn) {
    Steps steps = {.count = 0};
    const CvmAugmentation *augmentation = cvm_train_augmentation(train);
    CvmPreparation preparation = learn ? cvm_train_preparation(train) : train->data->preparation;
    if (learn && train->take)
        add(&steps, "take %d", train->take);
    add_preparation(&steps, &preparation);
    for (int i = 0; learn && augmentation && i < augmentation->count; i++)
        add_augmentation(&steps, augmentation, &augmentation->steps[i]);
    add_normalization(&steps, &train->normalize);
    return steps;
}

static void print(const char *which, const Steps *steps) {
    printf("%s", which);
    for (int i = 0; i < steps->count; i++)
        printf("%s%s", i ? ", " : "", steps->list[i]);
    putchar('\n');
}

void cvm_picture_steps_print(const CvmTrain *train) {
    const Steps learn = steps_of(train, true), test = steps_of(train, false);
    print("\npictures to learn from: ", &learn);
    print("pictures to test with: ", &test);
}

static cJSON *list_json(const Steps *steps) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < steps->count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(steps->list[i]));
    return array;
}

cJSON *cvm_picture_steps_json(const CvmTrain *train) {
    const Steps learn = steps_of(train, true), test = steps_of(train, false);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "learn", list_json(&learn));
    cJSON_AddItemToObject(object, "test", list_json(&test));
    return object;
}
