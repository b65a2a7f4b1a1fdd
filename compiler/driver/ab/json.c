/* See print.h: for programs. */
#include "compiler/driver/ab/print.h"

static cJSON *ratio_json(const CvmAbRatio *ratio) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "ratio", ratio->ratio);
    cJSON_AddNumberToObject(object, "low", ratio->low);
    cJSON_AddNumberToObject(object, "high", ratio->high);
    return object;
}

static cJSON *side_json(CvmSession *session, const CvmAbSide *side, const CvmAbResult *result,
                        int number) {
    CvmCompileStats stats = cvm_executable_stats(side->executable);
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    int prepared = 0;
    for (int i = 0; i < plan->call_count; i++)
        prepared += plan->calls[i].prepares;
    const char *limits = cvm_pass_limits_text(&side->compile.passes, session->arena);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "settings", side->text);
    cJSON_AddStringToObject(object, "passes",
                            cvm_pass_choice_text(&side->compile.passes, session->arena));
    cJSON_AddStringToObject(object, "pass_limits", limits ? limits : "");
    cJSON_AddStringToObject(object, "cpu", side->compile.cpu ? side->compile.cpu : "host");
    cJSON_AddStringToObject(object, "mode", side->training ? "train" : "forward");
    cJSON_AddNumberToObject(object, "batch", (double)side->batch);
    cJSON_AddNumberToObject(object, "threads", cvm_pool_threads(side->pool));
    cJSON_AddNumberToObject(object, "median_seconds", result->median[number]);
    cJSON_AddNumberToObject(object, "kernels", plan->call_count - prepared);
    cJSON_AddNumberToObject(object, "kernels_prepared_once", prepared);
    cJSON_AddNumberToObject(object, "arena_bytes", (double)plan->arena_bytes);
    cJSON_AddNumberToObject(object, "traffic_bytes", stats.bytes);
    cJSON_AddNumberToObject(object, "code_bytes", (double)stats.code_bytes);
    cJSON_AddNumberToObject(object, "compile_seconds", stats.seconds);
    cJSON_AddNumberToObject(object, "compiled", stats.kernels - stats.cached);
    cJSON_AddNumberToObject(object, "from_cache", stats.cached);
    cJSON_AddItemToObject(
        object, "run_seconds",
        cJSON_CreateDoubleArray(result->times[number], result->blocks * result->pairs));
    return object;
}

static cJSON *part_json(const CvmAbPart *part, const CvmAbSide *side) {
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "computes", part->text);
    cJSON *kernels = cJSON_AddArrayToObject(object, "kernels");
    for (int i = 0; i < part->count; i++)
        cJSON_AddItemToArray(kernels, cJSON_CreateString(plan->calls[part->calls[i]].kernel));
    cJSON_AddNumberToObject(object, "median_seconds", part->seconds);
    cJSON_AddNumberToObject(object, "flops", part->flops);
    cJSON_AddNumberToObject(object, "bytes", part->bytes);
    return object;
}

static cJSON *row_json(const CvmAbRow *row, const CvmAbSide sides[2]) {
    bool both = row->parts[0].count && row->parts[1].count;
    cJSON *object = both ? ratio_json(&row->ratio) : cJSON_CreateObject();
    cJSON_AddStringToObject(object, "layer", row->layer);
    cJSON_AddItemToObject(object, "a", part_json(&row->parts[0], &sides[0]));
    cJSON_AddItemToObject(object, "b", part_json(&row->parts[1], &sides[1]));
    cJSON_AddStringToObject(object, "verdict", cvm_ab_verdict_text(row->verdict));
    return object;
}

static cJSON *difference_json(const CvmAbDifference *difference) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "tensor", difference->name);
    cJSON_AddStringToObject(object, "kind", cvm_ab_kind_text(difference->kind));
    cJSON_AddNumberToObject(object, "largest", difference->largest);
    cJSON_AddNumberToObject(object, "absolute", difference->absolute);
    cJSON_AddNumberToObject(object, "relative", difference->relative);
    cJSON_AddBoolToObject(object, "agrees", difference->agrees);
    return object;
}

cJSON *cvm_ab_json(CvmSession *session, const CvmAbSide sides[2], const CvmAbOptions *options,
                   const CvmAbResult *result) {
    cJSON *object = ratio_json(&result->ratio);
    cJSON_AddStringToObject(object, "model", cvm_model_name(session->model));
    cJSON_AddStringToObject(object, "verdict", cvm_ab_verdict_text(result->verdict));
    CvmAbRatio each = cvm_ab_per_picture(sides, &result->ratio);
    cJSON_AddItemToObject(object, "for_each_picture", ratio_json(&each));
    cJSON_AddItemToObject(object, "a", side_json(session, &sides[0], result, 0));
    cJSON_AddItemToObject(object, "b", side_json(session, &sides[1], result, 1));
    cJSON_AddNumberToObject(object, "pairs", result->blocks * result->pairs);
    cJSON_AddNumberToObject(object, "pairs_of_a_block", result->pairs);
    cJSON *rows = cJSON_AddArrayToObject(object, "rows");
    for (int i = 0; i < result->rows.count; i++)
        cJSON_AddItemToArray(rows, row_json(&result->rows.rows[i], sides));
    const CvmAbAgreement *agreement = &result->agreement;
    cJSON_AddBoolToObject(object, "compared", agreement->compared);
    if (agreement->compared)
        cJSON_AddBoolToObject(object, "agrees", agreement->agrees);
    cJSON *differences = cJSON_AddArrayToObject(object, "differences");
    for (int i = 0; i < agreement->count; i++)
        cJSON_AddItemToArray(differences, difference_json(&agreement->differences[i]));
    cJSON_AddStringToObject(object, "again", cvm_ab_command_text(session, sides, options));
    return object;
}
