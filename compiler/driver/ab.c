/* cvmc ab: two ways of compiling a model against each other; or, with --each, the default passes
 * against themselves without one of them, one after the other. */
#include "compiler/driver/ab_trial.h"
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"

#include <stdlib.h>
#include <string.h>

static const double default_precision = 0.01, default_seconds = 20;

static CvmAbOptions trial_options(const CvmOptions *options) {
    return (CvmAbOptions){.precision = options->precision ? (double)options->precision / 1000
                                                          : default_precision,
                          .seconds = options->time ? (double)options->time : default_seconds,
                          .seed = options->seed};
}

static const char *verdict_text(CvmAbVerdict verdict) {
    static const char *const texts[] = {[CVM_AB_NO_DIFFERENCE] = "no difference seen",
                                        [CVM_AB_A_FASTER] = "A faster",
                                        [CVM_AB_B_FASTER] = "B faster"};
    return texts[verdict];
}

static char *time_text(double seconds, char text[32]) {
    if (seconds < 1e-3)
        snprintf(text, 32, "%.1f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, 32, "%.2f ms", seconds * 1e3);
    else
        snprintf(text, 32, "%.2f s", seconds);
    return text;
}

/* --- one trial --- */

static void print_side(const char *name, const CvmAbSide *side, double median) {
    char time[32], arena[16], bytes[16];
    CvmCompileStats stats = cvm_executable_stats(side->executable);
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    printf(
        "%s  %-28s %10s  %3d kernels  arena %sB  traffic %sB  compiled in %.0f ms (%d of %d from "
        "the cache)\n",
        name, side->text, time_text(median, time), plan->call_count,
        cvm_amount_text((double)plan->arena_bytes, arena), cvm_amount_text(stats.bytes, bytes),
        stats.seconds * 1e3, stats.cached, stats.kernels);
}

static void print_differences(const CvmAbResult *result, bool all) {
    if (!result->compared) {
        puts("results not compared: the sides' batches or modes differ");
        return;
    }
    double absolute = 0, relative = 0;
    for (int i = 0; i < result->difference_count; i++) {
        const CvmAbDifference *difference = &result->differences[i];
        absolute = difference->absolute > absolute ? difference->absolute : absolute;
        relative = difference->relative > relative ? difference->relative : relative;
        if (all || !difference->agrees)
            printf("%-8s %-32s largest difference %.2g, relative %.2g%s\n",
                   difference->gradient ? "gradient" : "output", difference->name,
                   difference->absolute, difference->relative,
                   difference->agrees ? "" : "  DIFFERS");
    }
    printf("results %s: %d tensors, largest difference %.2g, relative %.2g\n",
           result->agrees ? "agree" : "DIFFER", result->difference_count, absolute, relative);
}

static void print_command(const CvmSession *session, const CvmAbSide sides[2],
                          const CvmAbOptions *options) {
    printf("again: cvmc ab %s --a '%s' --b '%s'", session->file, sides[0].text, sides[1].text);
    if (session->options->train)
        printf(" --train %s", session->options->train);
    if (session->options->model)
        printf(" --model %s", session->options->model);
    if (session->options->batch)
        printf(" --batch %lld", (long long)session->options->batch);
    if (session->options->threads)
        printf(" --threads %lld", (long long)session->options->threads);
    if (session->options->given & CVM_OPTION_SEED)
        printf(" --seed %llu", (unsigned long long)options->seed);
    printf("%s --precision %lld --time %.0f\n", session->options->forward ? " --forward" : "",
           (long long)(options->precision * 1000 + 0.5), options->seconds);
}

static void print_trial(const CvmSession *session, const CvmAbSide sides[2],
                        const CvmAbOptions *options, const CvmAbResult *result) {
    printf("%s, %s, %d pairs of runs\n", cvm_model_name(session->model),
           sides[0].training != sides[1].training ? "a step of training against a forward pass"
           : sides[0].training                    ? "a step of training"
                                                  : "a forward pass",
           result->blocks * CVM_AB_PAIRS);
    print_side("A", &sides[0], result->median[0]);
    print_side("B", &sides[1], result->median[1]);
    print_differences(result, session->options->verbose);
    printf("time of B / A: %.4f (95%%: %.4f to %.4f): %s\n", result->ratio.ratio, result->ratio.low,
           result->ratio.high, verdict_text(result->verdict));
    print_command(session, sides, options);
}

static cJSON *side_json(const CvmAbSide *side, double median) {
    CvmCompileStats stats = cvm_executable_stats(side->executable);
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "settings", side->text);
    cJSON_AddStringToObject(object, "mode", side->training ? "train" : "forward");
    cJSON_AddNumberToObject(object, "batch", (double)side->batch);
    cJSON_AddNumberToObject(object, "threads", cvm_pool_threads(side->pool));
    cJSON_AddNumberToObject(object, "median_seconds", median);
    cJSON_AddNumberToObject(object, "kernels", plan->call_count);
    cJSON_AddNumberToObject(object, "arena_bytes", (double)plan->arena_bytes);
    cJSON_AddNumberToObject(object, "traffic_bytes", stats.bytes);
    cJSON_AddNumberToObject(object, "compile_seconds", stats.seconds);
    cJSON_AddNumberToObject(object, "compiled", stats.kernels - stats.cached);
    return object;
}

static cJSON *trial_json(const CvmAbSide sides[2], const CvmAbResult *result) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "a", side_json(&sides[0], result->median[0]));
    cJSON_AddItemToObject(object, "b", side_json(&sides[1], result->median[1]));
    cJSON_AddNumberToObject(object, "pairs", result->blocks * CVM_AB_PAIRS);
    cJSON_AddNumberToObject(object, "ratio", result->ratio.ratio);
    cJSON_AddNumberToObject(object, "low", result->ratio.low);
    cJSON_AddNumberToObject(object, "high", result->ratio.high);
    cJSON_AddStringToObject(object, "verdict", verdict_text(result->verdict));
    if (!result->compared)
        return object;
    cJSON_AddBoolToObject(object, "agrees", result->agrees);
    cJSON *differences = cJSON_AddArrayToObject(object, "differences");
    for (int i = 0; i < result->difference_count; i++) {
        const CvmAbDifference *difference = &result->differences[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "tensor", difference->name);
        cJSON_AddBoolToObject(item, "gradient", difference->gradient);
        cJSON_AddNumberToObject(item, "absolute", difference->absolute);
        cJSON_AddNumberToObject(item, "relative", difference->relative);
        cJSON_AddBoolToObject(item, "agrees", difference->agrees);
        cJSON_AddItemToArray(differences, item);
    }
    return object;
}

static bool run_pair(CvmSession *session) {
    const CvmOptions *options = session->options;
    CvmAbOptions trial = trial_options(options);
    CvmAbSide sides[2];
    CvmAbResult result;
    if (!cvm_ab_settings(session, options->a, &sides[0]) ||
        !cvm_ab_settings(session, options->b, &sides[1]))
        return false;
    bool done = cvm_ab_run(session, sides, &trial, &result);
    if (done && options->json)
        cvm_report_json(trial_json(sides, &result));
    else if (done)
        print_trial(session, sides, &trial, &result);
    cvm_ab_side_close(&sides[0]);
    cvm_ab_side_close(&sides[1]);
    if (done && !result.agrees)
        session->status = CVM_EXIT_INPUT;
    return done;
}

/* --- every pass in turn --- */

static void print_each(const CvmPass *pass, const CvmAbSide sides[2], const CvmAbResult *result) {
    char a[32], b[32];
    printf("%-15s %-8s %10s %10s  %.3f (%.3f to %.3f)  %4d -> %-4d %s%s\n", pass->name,
           sides[0].training ? "training" : "forward", time_text(result->median[0], a),
           time_text(result->median[1], b), result->ratio.ratio, result->ratio.low,
           result->ratio.high, cvm_executable_plan(sides[0].executable)->call_count,
           cvm_executable_plan(sides[1].executable)->call_count,
           result->verdict == CVM_AB_A_FASTER   ? "worth its place"
           : result->verdict == CVM_AB_B_FASTER ? "does harm"
                                                : "no difference seen",
           result->agrees ? "" : ", and the results DIFFER");
    fflush(stdout);
}

static bool run_without(CvmSession *session, const CvmPass *pass, bool training,
                        const CvmAbOptions *trial, cJSON *array) {
    CvmAbSide sides[2];
    CvmAbResult result;
    const char *mode = training ? "mode=train" : "mode=forward";
    if (!cvm_ab_settings(session, cvm_arena_format(session->arena, "default %s", mode),
                         &sides[0]) ||
        !cvm_ab_settings(session, cvm_arena_format(session->arena, "-%s %s", pass->name, mode),
                         &sides[1]))
        return false;
    bool done = cvm_ab_run(session, sides, trial, &result);
    if (done && array) {
        cJSON *object = trial_json(sides, &result);
        cJSON_AddStringToObject(object, "pass", pass->name);
        cJSON_AddItemToArray(array, object);
    } else if (done) {
        print_each(pass, sides, &result);
    }
    cvm_ab_side_close(&sides[0]);
    cvm_ab_side_close(&sides[1]);
    if (done && !result.agrees)
        session->status = CVM_EXIT_INPUT;
    return done;
}

static bool run_each(CvmSession *session) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    CvmAbOptions trial = trial_options(session->options);
    cJSON *array = session->options->json ? cJSON_CreateArray() : NULL;
    if (!array)
        printf("%-15s %-8s %10s %10s  %-22s  %-12s\n", "without", "mode", "all passes", "without",
               "time without / with", "kernels");
    bool done = true;
    for (int training = 0; training <= (session->train && !session->options->forward); training++)
        for (int i = 0; i < count && done; i++)
            if (passes[i].enabled)
                done = run_without(session, &passes[i], training, &trial, array);
    if (array && done)
        cvm_report_json(array);
    else
        cJSON_Delete(array);
    return done;
}

int cvm_command_ab(const CvmOptions *options) {
    if (options->each ? options->a || options->b : !options->a || !options->b) {
        cvm_report_error("ab needs --a SETTINGS and --b SETTINGS, or --each alone");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (cvm_session_open(&session, options) && cvm_session_need_model(&session)) {
        if (options->each)
            run_each(&session);
        else
            run_pair(&session);
    }
    return cvm_session_close(&session);
}
