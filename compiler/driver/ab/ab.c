/* cvmc ab: two ways of compiling a model against each other; or, with --each, the default passes
 * against themselves without one of them, one after the other. */
#include "compiler/driver/ab/print.h"
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"

#include <stdlib.h>
#include <string.h>

static const double default_interval = 0.01, default_seconds = 20;

static CvmAbOptions trial_options(const CvmOptions *options) {
    return (CvmAbOptions){.interval = options->interval ? (double)options->interval / 1000
                                                        : default_interval,
                          .seconds = options->time ? (double)options->time : default_seconds,
                          .tolerance = cvm_ab_tolerance(options),
                          .seed = options->seed};
}

static bool run_pair(CvmSession *session) {
    const CvmOptions *options = session->options;
    CvmAbOptions trial = trial_options(options);
    CvmAbSide sides[2];
    CvmAbResult result;
    if (!cvm_ab_settings(session, options->a, &sides[0]) ||
        !cvm_ab_settings(session, options->b, &sides[1]))
        return false;
    if (options->html && !cvm_session_check_writable(session, "page", options->html))
        return false;
    bool done = cvm_ab_run(session, sides, &trial, &result);
    if (done && options->html)
        done = cvm_ab_page(session, options->html, sides, &trial, &result);
    if (done && options->json)
        cvm_report_json(cvm_ab_json(session, sides, &trial, &result));
    else if (done)
        cvm_ab_print(session, sides, &trial, &result);
    cvm_ab_close(sides);
    if (done && !result.agreement.agrees)
        session->status = CVM_EXIT_INPUT;
    return done;
}

/* --- every pass in turn --- */

static void print_each(const CvmPass *pass, const CvmAbSide sides[2], const CvmAbResult *result) {
    char a[32], b[32];
    printf("%-15s %-8s %10s %10s  %.3f (%.3f to %.3f)  %4d -> %-4d %s%s\n", pass->name,
           sides[0].training ? "training" : "forward", cvm_ab_time_text(result->median[0], a),
           cvm_ab_time_text(result->median[1], b), result->ratio.ratio, result->ratio.low,
           result->ratio.high, cvm_executable_plan(sides[0].executable)->call_count,
           cvm_executable_plan(sides[1].executable)->call_count,
           result->verdict == CVM_AB_A_FASTER   ? "worth its place"
           : result->verdict == CVM_AB_B_FASTER ? "does harm"
                                                : "no difference seen",
           result->agreement.agrees ? "" : ", and the results DIFFER");
}

/* A pass that finds nothing to do needs no trial. */
static void report_nothing(const CvmPass *pass, const CvmAbSide sides[2], cJSON *array) {
    if (array) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "pass", pass->name);
        cJSON_AddStringToObject(object, "mode", sides[0].training ? "train" : "forward");
        cJSON_AddBoolToObject(object, "same_program", true);
        cJSON_AddItemToArray(array, object);
    } else {
        printf("%-15s %-8s %62s %s\n", pass->name, sides[0].training ? "training" : "forward", "",
               "changes nothing here");
    }
}

static bool run_trial(CvmSession *session, const CvmPass *pass, CvmAbSide sides[2],
                      const CvmAbOptions *trial, cJSON *array) {
    CvmAbResult result;
    if (!cvm_ab_run(session, sides, trial, &result))
        return false;
    if (array) {
        cJSON *object = cvm_ab_json(session, sides, trial, &result);
        cJSON_AddStringToObject(object, "pass", pass->name);
        cJSON_AddStringToObject(object, "mode", sides[0].training ? "train" : "forward");
        cJSON_AddBoolToObject(object, "same_program", false);
        cJSON_AddItemToArray(array, object);
    } else {
        print_each(pass, sides, &result);
    }
    if (!result.agreement.agrees)
        session->status = CVM_EXIT_INPUT;
    return true;
}

static bool run_without(CvmSession *session, const CvmPass *pass, bool training,
                        const CvmAbOptions *trial, cJSON *array) {
    CvmAbSide sides[2];
    const char *mode = training ? "mode=train" : "mode=forward";
    if (!cvm_ab_settings(session, cvm_arena_format(session->arena, "default %s", mode),
                         &sides[0]) ||
        !cvm_ab_settings(session, cvm_arena_format(session->arena, "-%s %s", pass->name, mode),
                         &sides[1]))
        return false;
    bool done = cvm_ab_compile(session, sides);
    if (done && cvm_ab_same_program(sides))
        report_nothing(pass, sides, array);
    else if (done)
        done = run_trial(session, pass, sides, trial, array);
    fflush(stdout);
    cvm_ab_close(sides);
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
    if (options->each && options->html) {
        cvm_report_error("--html shows one trial, --a against --b, not --each");
        return CVM_EXIT_USAGE;
    }
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
