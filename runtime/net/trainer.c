/* See train.h: trainers and their steps. All plans of a trainer are over one store, whose tensors
 * lie in the order that the step wants (packed where convolutions read them so) from the first step
 * to the last. Only saving, reading and whoever asks for a parameter by name have them in plain
 * order (trainer_state.c). */
#include "runtime/net/trainer.h"

#include "runtime/averages.h"
#include "runtime/memory.h"
#include "runtime/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const CvmPlan *plan_of(const CvmNetCode *code, CvmTrainerPlan which) {
    const CvmPlan *const *evaluations = code->evaluations[0] ? code->evaluations : code->inferences;
    const CvmPlan *plans[CVM_TRAINER_PLANS] = {
        [CVM_TRAINER_STEP] = code->step,
        [CVM_TRAINER_GRADIENTS] = code->gradients,
        [CVM_TRAINER_DISTRIBUTIONS] = code->distributions,
        [CVM_TRAINER_APPLY] = code->apply,
        [CVM_TRAINER_EVALUATION] = evaluations[0],
        [CVM_TRAINER_SINGLE] = evaluations[code->inference_count - 1],
    };
    return plans[which];
}

size_t cvm_net_training_memory(const CvmNetDescription *about) {
    int64_t most = CVM_ALIGNMENT;
    for (int c = 0; c < about->code_count; c++)
        for (int i = 0; i < CVM_TRAINER_PLANS; i++) {
            const CvmPlan *plan = plan_of(&about->codes[c], (CvmTrainerPlan)i);
            if (plan && plan->arena_bytes > most)
                most = plan->arena_bytes;
        }
    return (size_t)most;
}

/* --- making one --- */

static cvm_net_status no_memory(const CvmError *error) {
    return cvm_net_fail_with(error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
}

static bool add_slots(cvm_net_trainer *trainer, const CvmSlot *slots, int count, CvmError *error) {
    const CvmPlan plan = {.name = trainer->about->name, .slots = slots, .slot_count = count};
    return cvm_store_add_slots(&trainer->store, &plan, trainer->about->seed, error);
}

/* Every tensor at its start: the parameters, which the plans bring into their order, and what the
 * plans have beside them. */
static cvm_net_status fill_store(cvm_net_trainer *trainer) {
    static const CvmSlot slots[] = {
        {CVM_TRAINER_STEPS, CVM_SLOT_OPTIMIZER, CVM_I32, {1, {2}}, 0, 0, 0},
        {CVM_TRAINER_RATE, CVM_SLOT_OPTIMIZER, CVM_F32, {0, {0}}, 0, 0, 0},
    };
    const CvmNetDescription *about = trainer->about;
    CvmError error;
    if (!add_slots(trainer, about->parameters, about->parameter_count, &error) ||
        !add_slots(trainer, slots, 2, &error))
        return no_memory(&error);
    for (int i = 0; i < CVM_TRAINER_PLANS; i++) {
        const CvmPlan *plan = plan_of(trainer->code, (CvmTrainerPlan)i);
        if (plan && !add_slots(trainer, plan->slots, plan->slot_count, &error))
            return no_memory(&error);
    }
    trainer->steps = cvm_store_find(&trainer->store, CVM_TRAINER_STEPS)->data;
    trainer->rate = cvm_store_find(&trainer->store, CVM_TRAINER_RATE)->data;
    *trainer->rate = (float)about->rate;
    return CVM_NET_OK;
}

/* The model's weights, if there is one, where the training begins. */
static cvm_net_status fill_weights(cvm_net_trainer *trainer, const cvm_net_model *model) {
    const CvmNetDescription *about = trainer->about;
    CvmError error;
    for (int i = 0; i < about->parameter_count; i++) {
        const char *name = about->parameters[i].name;
        if (model)
            cvm_stored_copy(cvm_store_find(&model->store, name),
                            cvm_store_find(&trainer->store, name));
        cvm_average_restart(&trainer->store, name);
    }
    return cvm_averages_view(&trainer->store, &trainer->averaged, &error) ? CVM_NET_OK
                                                                          : no_memory(&error);
}

/* Of all evaluations. */
static int64_t prepared_bytes(const cvm_net_trainer *trainer) {
    return plan_of(trainer->code, CVM_TRAINER_EVALUATION)->prepared_bytes;
}

static bool is_evaluation(int which) {
    return which == CVM_TRAINER_EVALUATION || which == CVM_TRAINER_SINGLE;
}

static cvm_net_status make_instances(cvm_net_trainer *trainer) {
    CvmError error;
    int64_t bytes = prepared_bytes(trainer);
    trainer->prepared = cvm_memory_allocate(bytes);
    if (!trainer->prepared)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for %lld bytes of packed weights",
                            (long long)bytes);
    for (int i = 0; i < CVM_TRAINER_PLANS; i++) {
        const CvmPlace place = {trainer->arena, is_evaluation(i) ? trainer->prepared : NULL};
        const CvmPlan *plan = plan_of(trainer->code, (CvmTrainerPlan)i);
        if (!plan)
            continue;
        trainer->stale[i] = is_evaluation(i);
        trainer->instances[i] = cvm_instance_create_in(
            plan, is_evaluation(i) ? &trainer->averaged : &trainer->store, &place, &error);
        if (!trainer->instances[i])
            return no_memory(&error);
    }
    return CVM_NET_OK;
}

static cvm_net_status fill_trainer(cvm_net_trainer *trainer, const cvm_net_options *options) {
    CvmError error;
    size_t bytes = cvm_net_training_memory(trainer->about);
    trainer->owned_bytes = options->memory ? 0 : (int64_t)bytes;
    trainer->arena = options->memory ? options->memory : cvm_memory_allocate((int64_t)bytes);
    if (!trainer->arena)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a trainer's %zu bytes", bytes);
    memset(trainer->arena, 0, options->memory ? bytes : 0);
    cvm_net_status status = fill_store(trainer);
    if (!status)
        status = fill_weights(trainer, trainer->model);
    if (!status)
        status = make_instances(trainer);
    if (status)
        return status;
    trainer->pool = cvm_pool_create(options->threads, &error);
    return trainer->pool ? CVM_NET_OK
                         : cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_THREADS);
}

cvm_net_status cvm_net_make_trainer(const CvmNetDescription *about, cvm_net_model *model,
                                    const cvm_net_options *options, cvm_net_trainer **created) {
    const cvm_net_options otherwise = {.size = sizeof otherwise};
    const CvmNetCode *code;
    options = options ? options : &otherwise;
    if (!created)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer must not be null");
    cvm_net_status status = cvm_net_check_options(options, cvm_net_training_memory(about));
    if (!status)
        status = cvm_net_choose_code(about, &code);
    if (status)
        return status;
    cvm_net_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a trainer");
    *trainer = (cvm_net_trainer){.about = about, .code = code, .model = model};
    trainer->normalization = model ? model->normalization : about->normalization;
    if (model)
        atomic_fetch_add(&model->users, 1);
    status = fill_trainer(trainer, options);
    if (status)
        cvm_net_trainer_destroy(trainer);
    else
        *created = trainer;
    return status;
}

void cvm_net_trainer_destroy(cvm_net_trainer *trainer) {
    if (!trainer)
        return;
    for (int i = 0; i < CVM_TRAINER_PLANS; i++)
        cvm_instance_free(trainer->instances[i]);
    cvm_pool_free(trainer->pool);
    cvm_store_free(&trainer->averaged);
    cvm_store_free(&trainer->store);
    if (trainer->owned_bytes)
        cvm_memory_free(trainer->arena, trainer->owned_bytes);
    cvm_memory_free(trainer->prepared, prepared_bytes(trainer));
    if (trainer->model)
        atomic_fetch_sub(&trainer->model->users, 1);
    free(trainer);
}

/* --- steps --- */

static cvm_net_status check_batch(const cvm_net_trainer *trainer, const void *images,
                                  const void *targets, size_t count) {
    if (!trainer || !images || !targets)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer, images and targets must not be null");
    if (count != (size_t)trainer->about->train_batch)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "%zu images, and a batch of this object has %lld; build it with "
                            "another batch size",
                            count, (long long)trainer->about->train_batch);
    if (((uintptr_t)images | (uintptr_t)targets) % 4 != 0)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "images and targets must be aligned to 4 bytes");
    return CVM_NET_OK;
}

static cvm_net_status check_labels(const cvm_net_trainer *trainer, const int32_t *labels,
                                   size_t count) {
    for (size_t i = 0; i < count; i++)
        if (labels[i] < 0 || labels[i] >= trainer->about->classes)
            return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                                "label %zu is %d: labels from 0 to %d are possible", i, labels[i],
                                trainer->about->classes - 1);
    return CVM_NET_OK;
}

static int find_input(const CvmPlan *plan, const char *name) {
    for (int i = 0; i < plan->input_count; i++)
        if (strcmp(plan->inputs[i].name, name) == 0)
            return i;
    return -1;
}

static int find_images(const CvmPlan *plan) {
    for (int i = 0; i < plan->input_count; i++)
        if (plan->inputs[i].shape.rank == 4)
            return i;
    return 0;
}

/* Random numbers (of dropout) are keyed by the seed and the number of batches so far. */
static void fill_random(cvm_net_trainer *trainer, CvmInstance *instance) {
    uint64_t seed = trainer->about->seed;
    uint32_t *random = cvm_instance_input(instance, "random");
    if (!random)
        return;
    random[0] = (uint32_t)seed;
    random[1] = (uint32_t)(seed >> 32);
    memcpy(random + 2, trainer->steps, 2 * sizeof *trainer->steps);
}

static void count_step(cvm_net_trainer *trainer) {
    uint64_t steps;
    memcpy(&steps, trainer->steps, sizeof steps);
    steps++;
    memcpy(trainer->steps, &steps, sizeof steps);
}

/* What a plan prepared of weights (packed them) follows what they have become. */
static void refresh(cvm_net_trainer *trainer, CvmTrainerPlan which) {
    if (trainer->stale[which])
        cvm_instance_forget(trainer->instances[which]);
    trainer->stale[which] = false;
}

/* Single images find prepared what larger batches prepare. */
static void run(cvm_net_trainer *trainer, CvmTrainerPlan which) {
    if (which == CVM_TRAINER_SINGLE && trainer->stale[CVM_TRAINER_EVALUATION]) {
        refresh(trainer, CVM_TRAINER_EVALUATION);
        cvm_instance_prepare(trainer->instances[CVM_TRAINER_EVALUATION], trainer->pool);
    }
    refresh(trainer, which);
    cvm_instance_run(trainer->instances[which], trainer->pool);
}

/* The pictures that a plan takes at once, and the bytes of one and of its target. */
typedef struct Part {
    int64_t count;
    size_t image_bytes, target_bytes;
} Part;

static size_t bytes_of(const CvmPort *port) {
    int64_t elements = 0;
    cvm_shape_count(&port->shape, &elements);
    return (size_t)(elements / port->shape.sizes[0]) * cvm_dtype_bytes(port->dtype);
}

static Part part_of(const CvmPlan *plan) {
    const CvmPort *images = &plan->inputs[find_images(plan)];
    return (Part){.count = images->shape.sizes[0],
                  .image_bytes = bytes_of(images),
                  .target_bytes = bytes_of(&plan->inputs[find_input(plan, "target")])};
}

/* Goes over the batch in the parts that the plan takes; each counts as one for random numbers. */
static cvm_net_status run_batch(cvm_net_trainer *trainer, CvmTrainerPlan which, const float *images,
                                const void *targets, float *loss) {
    CvmInstance *instance = trainer->instances[which];
    const CvmPlan *plan = cvm_instance_plan(instance);
    const Part part = part_of(plan);
    const char *image = (const char *)images, *target = targets;
    int64_t parts = trainer->about->train_batch / part.count;
    float *rate = cvm_instance_input(instance, "rate");
    double sum = 0;
    if (rate)
        *rate = *trainer->rate;
    for (int64_t i = 0; i < parts; i++) {
        cvm_instance_bind_input(instance, find_images(plan), image);
        cvm_instance_bind_input(instance, find_input(plan, "target"), target);
        fill_random(trainer, instance);
        run(trainer, which);
        count_step(trainer);
        sum += *(const float *)cvm_instance_output(instance, "loss");
        image += (size_t)part.count * part.image_bytes;
        target += (size_t)part.count * part.target_bytes;
    }
    if (which == CVM_TRAINER_STEP)
        cvm_trainer_weights_moved(trainer, false);
    float mean = (float)(sum / (double)parts);
    if (loss)
        *loss = mean;
    return isfinite(mean) ? CVM_NET_OK
                          : cvm_net_fail(CVM_NET_NOT_A_NUMBER,
                                         "the loss is not a number any more: try a lower rate");
}

static void apply(cvm_net_trainer *trainer, float scale) {
    CvmInstance *instance = trainer->instances[CVM_TRAINER_APPLY];
    *(float *)cvm_instance_input(instance, "rate") = *trainer->rate;
    *(float *)cvm_instance_input(instance, "scale") = scale;
    run(trainer, CVM_TRAINER_APPLY);
    cvm_store_clear_gradients(&trainer->store);
    trainer->pending = 0;
    cvm_trainer_weights_moved(trainer, false);
}

/* Where a batch is split there is no plan that does all at once. */
static cvm_net_status run_step(cvm_net_trainer *trainer, const float *images, const int32_t *labels,
                               float *loss) {
    if (trainer->instances[CVM_TRAINER_STEP])
        return run_batch(trainer, CVM_TRAINER_STEP, images, labels, loss);
    cvm_net_status status = run_batch(trainer, CVM_TRAINER_GRADIENTS, images, labels, loss);
    apply(trainer, 1);
    return status;
}

static cvm_net_status check_none_waits(const cvm_net_trainer *trainer) {
    return trainer->pending
               ? cvm_net_fail(CVM_NET_BAD_ORDER,
                              "gradients of %d batches wait to be applied or discarded",
                              trainer->pending)
               : CVM_NET_OK;
}

cvm_net_status cvm_net_step(cvm_net_trainer *trainer, const float *images, const int32_t *labels,
                            size_t count, float *loss) {
    cvm_net_status status = check_batch(trainer, images, labels, count);
    if (!status)
        status = check_labels(trainer, labels, count);
    if (!status)
        status = check_none_waits(trainer);
    return status ? status : run_step(trainer, images, labels, loss);
}

/* There is no plan that does both halves. */
cvm_net_status cvm_net_step_of_distributions(cvm_net_trainer *trainer, const float *images,
                                             const float *distributions, size_t count,
                                             float *loss) {
    cvm_net_status status = check_batch(trainer, images, distributions, count);
    if (!status)
        status = check_none_waits(trainer);
    if (status)
        return status;
    status = run_batch(trainer, CVM_TRAINER_DISTRIBUTIONS, images, distributions, loss);
    apply(trainer, 1);
    return status;
}

cvm_net_status cvm_net_gradients(cvm_net_trainer *trainer, const float *images,
                                 const int32_t *labels, size_t count, float *loss) {
    cvm_net_status status = check_batch(trainer, images, labels, count);
    if (!status)
        status = check_labels(trainer, labels, count);
    if (status)
        return status;
    trainer->pending++;
    return run_batch(trainer, CVM_TRAINER_GRADIENTS, images, labels, loss);
}

cvm_net_status cvm_net_gradients_of_distributions(cvm_net_trainer *trainer, const float *images,
                                                  const float *distributions, size_t count,
                                                  float *loss) {
    cvm_net_status status = check_batch(trainer, images, distributions, count);
    if (status)
        return status;
    trainer->pending++;
    return run_batch(trainer, CVM_TRAINER_DISTRIBUTIONS, images, distributions, loss);
}

cvm_net_status cvm_net_apply(cvm_net_trainer *trainer, float scale) {
    if (!trainer || !isfinite(scale))
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "trainer must not be null, and scale must be a number");
    if (!trainer->pending)
        return cvm_net_fail(CVM_NET_BAD_ORDER, "there are no gradients to apply");
    apply(trainer, scale);
    return CVM_NET_OK;
}

cvm_net_status cvm_net_discard(cvm_net_trainer *trainer) {
    if (!trainer)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer must not be null");
    cvm_store_clear_gradients(&trainer->store);
    trainer->pending = 0;
    return CVM_NET_OK;
}

cvm_net_status cvm_net_get_rate(const cvm_net_trainer *trainer, float *rate) {
    if (!trainer || !rate)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer and rate must not be null");
    *rate = *trainer->rate;
    return CVM_NET_OK;
}

cvm_net_status cvm_net_set_rate(cvm_net_trainer *trainer, float rate) {
    if (!trainer || !isfinite(rate) || rate < 0)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "trainer must not be null, and a rate is a number from 0 on");
    *trainer->rate = rate;
    return CVM_NET_OK;
}

/* --- the weights as they are now --- */

/* Images that are classified from the first to the last, in the batches that there are plans for.
 */
typedef struct Row {
    CvmTrainerPlan which; /* for the batch that is next */
    CvmInstance *instance;
    size_t batch;
    const float *images;
    size_t left;
} Row;

static bool next_batch(const cvm_net_trainer *trainer, Row *row) {
    int64_t image = 1;
    cvm_shape_count(&trainer->about->input, &image);
    row->images += row->batch * (size_t)image;
    row->left -= row->batch;
    row->which = CVM_TRAINER_EVALUATION;
    row->batch = (size_t)plan_of(trainer->code, row->which)->inputs[0].shape.sizes[0];
    if (row->left < row->batch) {
        row->which = CVM_TRAINER_SINGLE;
        row->batch = 1;
    }
    row->instance = trainer->instances[row->which];
    if (row->left > 0)
        cvm_instance_bind_input(row->instance, 0, row->images);
    return row->left > 0;
}

static void copy_output(const Row *row, const char *name, float *to, size_t done, int classes) {
    if (to)
        memcpy(to + done * (size_t)classes, cvm_instance_output(row->instance, name),
               row->batch * (size_t)classes * sizeof *to);
}

cvm_net_status cvm_net_predict(cvm_net_trainer *trainer, const float *images, size_t count,
                               float *logits, float *probabilities) {
    if (!trainer || (!images && count > 0) || (!logits && !probabilities))
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "trainer and images must not be null, nor logits and probabilities "
                            "both");
    Row row = {.images = images, .left = count};
    while (next_batch(trainer, &row)) {
        run(trainer, row.which);
        copy_output(&row, "logits", logits, count - row.left, trainer->about->classes);
        copy_output(&row, "probabilities", probabilities, count - row.left,
                    trainer->about->classes);
    }
    return CVM_NET_OK;
}

static void score_batch(const Row *row, const int32_t *labels, int classes,
                        cvm_net_evaluation *evaluation) {
    const float *logits = cvm_instance_output(row->instance, "logits");
    for (size_t i = 0; i < row->batch; i++, logits += classes) {
        evaluation->correct += cvm_largest(logits, classes) == labels[i];
        evaluation->loss += cvm_cross_entropy(logits, classes, labels[i]);
    }
}

cvm_net_status cvm_net_evaluate(cvm_net_trainer *trainer, const float *images,
                                const int32_t *labels, size_t count,
                                cvm_net_evaluation *evaluation) {
    if (!trainer || !images || !labels || !evaluation || count < 1)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "trainer, images, labels and evaluation must not be null, and there "
                            "must be an image");
    if (evaluation->size < sizeof *evaluation)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "evaluation.size must be set to its size");
    cvm_net_status status = check_labels(trainer, labels, count);
    if (status)
        return status;
    cvm_net_evaluation result = {.size = evaluation->size, .count = (int64_t)count};
    Row row = {.images = images, .left = count};
    while (next_batch(trainer, &row)) {
        run(trainer, row.which);
        score_batch(&row, labels + (count - row.left), trainer->about->classes, &result);
    }
    result.loss /= (double)count;
    *evaluation = result;
    return CVM_NET_OK;
}
