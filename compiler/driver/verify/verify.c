/* cvmc verify: the compiled model against the operators' reference functions, tensor by tensor; the
 * loss's gradients against finite differences; the same bits at any number of threads. For each CPU
 * whose code runs here, with and without passes, as far as the time reaches: what comes first is
 * what other commands would run. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/verify/print.h"
#include "compiler/driver/verify/reference.h"
#include "runtime/clock.h"

#include <stdlib.h>

enum { MAX_CASES = 32 };
static const double default_tolerance = 1e-4, default_seconds = 120;
/* Of derivatives: rounding of the loss, and kinks that a step goes over, leave that much. */
static const double derivative_tolerance = 0.03;

typedef struct Verification {
    CvmSession *session;
    double start, seconds, rate, tolerance;
    CvmVerifyCase cases[MAX_CASES];
    int case_count, opened;
    CvmVerifyGradients gradients;
    bool has_gradients;
} Verification;

static double time_left(const Verification *verification) {
    double left = verification->seconds - (cvm_seconds() - verification->start);
    return left > 0 ? left : 0;
}

/* --- what there is to verify --- */

static void add_case(Verification *verification, CvmVerifyMode mode, const char *cpu,
                     const char *passes) {
    if (verification->case_count < MAX_CASES)
        verification->cases[verification->case_count++].trial =
            (CvmVerifyTrial){.session = verification->session,
                             .arena = verification->session->arena,
                             .mode = mode,
                             .batch = cvm_verify_batch(verification->session, mode),
                             .passes = passes,
                             .compile.cpu = cpu};
}

static void add_modes(Verification *verification, const char *cpu, const char *passes) {
    const CvmSession *session = verification->session;
    if (session->graph) {
        add_case(verification, CVM_VERIFY_GRAPH, cpu, passes);
        return;
    }
    add_case(verification, CVM_VERIFY_INFERENCE, cpu, passes);
    if (session->train && !session->options->forward)
        add_case(verification, CVM_VERIFY_STEP, cpu, passes);
}

static void list_cases(Verification *verification) {
    CvmSession *session = verification->session;
    const char *const one[] = {session->options->cpu, NULL};
    const char *const *cpus = session->options->cpu ? one : cvm_cpus_here(session->arena);
    bool one_choice = session->options->passes || getenv("CVM_PASSES");
    for (int i = 0; cpus[i]; i++) {
        add_modes(verification, cpus[i], NULL);
        if (!one_choice)
            add_modes(verification, cpus[i], "none");
    }
}

/* --- verifying it --- */

static bool run_case(Verification *verification, CvmVerifyCase *found, double budget) {
    CvmSession *session = verification->session;
    CvmVerifyTrial *trial = &found->trial;
    verification->opened++;
    if (!cvm_verify_open(trial, session, trial->mode, trial->compile.cpu, trial->passes))
        return false;
    CvmStore store;
    CvmInstance *instance = cvm_verify_instance(trial, &store);
    bool done = instance &&
                cvm_verify_walk(trial, instance, verification->tolerance, verification->rate,
                                budget, &found->walk) &&
                cvm_verify_bits(trial, instance, &store, &found->bits);
    found->done = done;
    cvm_instance_free(instance);
    cvm_store_free(&store);
    cvm_store_free(&trial->start);
    return done;
}

/* Of what is left, each of the first cases may take half, the others equal shares. */
static bool run_cases(Verification *verification) {
    CvmSession *session = verification->session;
    int modes = session->graph || !session->train || session->options->forward ? 1 : 2;
    for (int i = 0; i < verification->case_count; i++) {
        double left = time_left(verification);
        double share = i < modes ? left / 2 : left / (verification->case_count - i);
        CvmVerifyCase *found = &verification->cases[i];
        if ((left > 0 || i < modes) && !run_case(verification, found, share))
            return false;
        if (!session->options->json)
            cvm_verify_print_case(session, found);
        fflush(stdout);
        if (i + 1 != modes || modes != 2)
            continue;
        verification->has_gradients = true;
        if (!cvm_verify_gradients(session, derivative_tolerance, time_left(verification) / 2,
                                  &verification->gradients))
            return false;
        if (!session->options->json)
            cvm_verify_print_gradients(session, &verification->gradients);
        fflush(stdout);
    }
    return true;
}

/* --- telling it --- */

static bool holds(const Verification *verification) {
    bool all = verification->gradients.different == 0;
    for (int i = 0; i < verification->case_count; i++)
        all &= cvm_verify_case_holds(&verification->cases[i]);
    return all;
}

static void print_json(const Verification *verification) {
    const CvmSession *session = verification->session;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", session->file);
    cJSON_AddBoolToObject(object, "agrees", holds(verification));
    cJSON_AddNumberToObject(object, "tolerance", verification->tolerance);
    cJSON_AddNumberToObject(object, "seconds", cvm_seconds() - verification->start);
    cJSON *cases = cJSON_AddArrayToObject(object, "cases");
    for (int i = 0; i < verification->case_count; i++)
        cJSON_AddItemToArray(cases, cvm_verify_case_json(&verification->cases[i]));
    if (verification->has_gradients)
        cJSON_AddItemToObject(object, "gradients",
                              cvm_verify_gradients_json(&verification->gradients));
    cvm_report_json(object);
}

static void print_end(Verification *verification) {
    int left_out = 0;
    cvm_verify_print_nearest(verification->session, verification->cases, verification->case_count);
    for (int i = 0; i < verification->case_count; i++)
        left_out += !verification->cases[i].done;
    printf("\n%s%s\n",
           holds(verification) ? "what was compared agrees" : "compiled code and references DIFFER",
           left_out ? "; --seconds N leaves more time for what was left out" : "");
}

static void verify(Verification *verification) {
    const CvmOptions *options = verification->session->options;
    verification->start = cvm_seconds();
    verification->seconds = options->seconds ? (double)options->seconds : default_seconds;
    verification->tolerance =
        options->given & CVM_OPTION_ERROR ? options->tolerance : default_tolerance;
    verification->rate = cvm_verify_rate();
    list_cases(verification);
    bool done = cvm_verify_load(verification->session) && run_cases(verification);
    if (done && options->json)
        print_json(verification);
    else if (done)
        print_end(verification);
    if (done && !holds(verification))
        verification->session->status = CVM_EXIT_INPUT;
    for (int i = 0; i < verification->opened; i++)
        cvm_verify_close(&verification->cases[i].trial);
    if (verification->has_gradients)
        cvm_verify_close(&verification->gradients.trial);
}

int cvm_command_verify(const CvmOptions *options) {
    CvmSession session;
    bool open = cvm_session_open_graph(&session, options) &&
                (session.graph || cvm_session_need_model(&session));
    if (open) {
        Verification *verification = CVM_NEW(session.arena, Verification);
        *verification = (Verification){.session = &session};
        verify(verification);
    }
    return cvm_session_close(&session);
}
