/* See gradients.h. */
#include "compiler/driver/verify/gradients.h"

#include "compiler/driver/report.h"
#include "runtime/clock.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The loss is a sum of float32 numbers of about its own size. */
static const double rounding = 0x1p-21;
/* A step changes the loss by so large a share of it, where that takes no larger changes of the
 * parameter than the other, as a share of its norm. */
static const double change_of_loss = 0.02, change_of_parameter = 0.1;
/* Of a parameter that is zero everywhere. */
static const double least_norm = 0.1;

/* The loss as a function of one parameter's place on a line. */
typedef struct Line {
    CvmInstance *instance;
    CvmPool *pool;
    CvmStored *parameter;
    float *at, *direction, *moved; /* plain */
    int64_t count;
} Line;

static double loss_of(CvmInstance *instance, CvmPool *pool) {
    cvm_instance_run(instance, pool);
    return (double)*(const float *)cvm_instance_output(instance, "loss");
}

static double loss_at(void *context, double t) {
    Line *line = context;
    for (int64_t i = 0; i < line->count; i++)
        line->moved[i] = (float)((double)line->at[i] + t * (double)line->direction[i]);
    cvm_stored_write(line->parameter, line->moved);
    cvm_instance_forget(line->instance);
    return loss_of(line->instance, line->pool);
}

static double norm_of(const float *elements, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)elements[i] * (double)elements[i];
    return sqrt(sum);
}

/* Directions have the norm of the parameter. Of random ones, elements are uniform. */
static void draw(Line *line, const float *gradient, int number, uint64_t seed) {
    double root = sqrt((double)line->count), norm = norm_of(line->at, line->count);
    double length = norm > 0 ? norm : least_norm * root;
    double own = norm_of(gradient, line->count);
    for (int64_t i = 0; i < line->count; i++)
        line->direction[i] =
            number == 0
                ? (float)(own > 0 ? (double)gradient[i] * length / own : 0)
                : (float)((2 * (double)cvm_random_uniform(seed, (uint64_t)number, (uint64_t)i) -
                           1) *
                          sqrt(3) * length / root);
}

static double slope(const Line *line, const float *gradient) {
    double sum = 0;
    for (int64_t i = 0; i < line->count; i++)
        sum += (double)gradient[i] * (double)line->direction[i];
    return sum;
}

static void check(Line *line, const float *gradient, double loss, double tolerance, uint64_t seed,
                  CvmVerifyGradient *row) {
    double size = fmax(fabs(loss), 0.1);
    for (int number = 0; number < CVM_VERIFY_DIRECTIONS; number++) {
        draw(line, gradient, number, seed);
        double expected = slope(line, gradient);
        double step = fmin(change_of_parameter, change_of_loss * size / fabs(expected));
        row->derivatives[row->count++] =
            cvm_derivative(loss_at, line, expected, step, rounding * size, tolerance);
    }
    cvm_stored_write(line->parameter, line->at);
    row->verdict = cvm_derivatives_verdict(row->derivatives, row->count);
    row->checked = true;
}

/* What is compiled and run. */
typedef struct Job {
    CvmSession *session;
    CvmPool *pool;
    CvmVerifyTrial *gradient_trial, loss_trial;
    CvmStore gradient_store, loss_store;
    CvmInstance *gradient_run, *loss_run;
    double tolerance, share; /* of the loss, whose gradients are computed */
} Job;

static bool open(Job *job) {
    CvmSession *session = job->session;
    const char *cpu = session->compile.cpu;
    if (!cvm_verify_open(job->gradient_trial, session, CVM_VERIFY_GRADIENTS, cpu, NULL) ||
        !cvm_verify_open(&job->loss_trial, session, CVM_VERIFY_LOSS, cpu, "default"))
        return false;
    job->gradient_run = cvm_verify_instance(job->gradient_trial, &job->gradient_store);
    job->loss_run =
        job->gradient_run ? cvm_verify_instance(&job->loss_trial, &job->loss_store) : NULL;
    if (job->loss_run)
        cvm_instance_run(job->gradient_run, job->pool);
    return job->loss_run;
}

static void close(Job *job) {
    cvm_instance_free(job->gradient_run);
    cvm_instance_free(job->loss_run);
    cvm_store_free(&job->gradient_store);
    cvm_store_free(&job->loss_store);
    cvm_verify_close(&job->loss_trial);
}

/* A tensor's elements in plain order, to be freed. */
static float *plain_of(const CvmStored *tensor) {
    float *plain = malloc((size_t)cvm_stored_bytes(tensor) + 1);
    if (plain)
        cvm_stored_read(tensor, plain);
    return plain;
}

static bool check_parameter(Job *job, double loss, CvmVerifyGradient *row) {
    const char *name = row->parameter->origin.name;
    CvmArena *scratch = cvm_arena_create();
    const CvmStored *sums =
        cvm_store_find(&job->gradient_store, cvm_arena_format(scratch, "gradient.%s", name));
    CvmStored *parameter = cvm_store_find(&job->loss_store, name);
    cvm_arena_free(scratch);
    if (!sums || !parameter)
        return true; /* it does not learn, or nothing depends on it */
    Line line = {.instance = job->loss_run, .pool = job->pool, .parameter = parameter};
    cvm_shape_count(&parameter->shape, &line.count);
    float *gradient = plain_of(sums);
    line.at = plain_of(parameter);
    line.direction = calloc((size_t)line.count + 1, sizeof(float));
    line.moved = calloc((size_t)line.count + 1, sizeof(float));
    bool room = gradient && line.at && line.direction && line.moved;
    for (int64_t i = 0; i < line.count && room; i++)
        gradient[i] = (float)((double)gradient[i] / job->share);
    if (room)
        check(&line, gradient, loss, job->tolerance, cvm_random_stream(name) ^ job->loss_trial.seed,
              row);
    free(gradient);
    free(line.at);
    free(line.direction);
    free(line.moved);
    return room || cvm_session_refuse(job->session, CVM_EXIT_MACHINE,
                                      "no memory for the gradient of %s", name);
}

static bool learns(const Job *job, const CvmNode *node) {
    CvmArena *scratch = cvm_arena_create();
    bool found = node->op == CVM_OP_PARAMETER &&
                 cvm_store_find(&job->gradient_store,
                                cvm_arena_format(scratch, "gradient.%s", node->origin.name));
    cvm_arena_free(scratch);
    return found;
}

static bool check_all(Job *job, double start, double budget, CvmVerifyGradients *gradients) {
    const CvmGraph *graph = job->gradient_trial->source;
    gradients->rows = cvm_arena_array(gradients->trial.arena, (size_t)graph->node_count + 1,
                                      sizeof *gradients->rows);
    gradients->loss = loss_of(job->loss_run, job->pool);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (!learns(job, node))
            continue;
        CvmVerifyGradient *row = &gradients->rows[gradients->count++];
        row->parameter = node;
        if (cvm_seconds() - start < budget && !check_parameter(job, gradients->loss, row))
            return false;
        gradients->checked += row->checked;
        gradients->agreeing += row->checked && row->verdict == CVM_DERIVATIVE_AGREES;
        gradients->different += row->checked && row->verdict == CVM_DERIVATIVE_DIFFERS;
    }
    return true;
}

bool cvm_verify_gradients(CvmSession *session, double tolerance, double budget,
                          CvmVerifyGradients *gradients) {
    double start = cvm_seconds();
    Job job = {.session = session,
               .pool = cvm_session_pool(session),
               .gradient_trial = &gradients->trial,
               .tolerance = tolerance};
    *gradients = (CvmVerifyGradients){.count = 0};
    if (!job.pool)
        return false;
    cvm_store_init(&job.gradient_store);
    cvm_store_init(&job.loss_store);
    cvm_store_init(&gradients->trial.start);
    cvm_store_init(&job.loss_trial.start);
    bool done = open(&job);
    job.share =
        session->train->accumulate > 1 ? (double)gradients->trial.batch / session->train->batch : 1;
    done = done && check_all(&job, start, budget, gradients);
    close(&job);
    gradients->seconds = cvm_seconds() - start;
    return done;
}
