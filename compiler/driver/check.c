/* cvmc check: parses and checks files, and nothing more; the code generator is not even started. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/front/program.h"

static int check_file(const char *file, cJSON *results) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    bool right = cvm_program_load(arena, file, NULL, &diag) != NULL;
    if (results) {
        cJSON *result = cJSON_CreateObject();
        cJSON_AddStringToObject(result, "file", file);
        cJSON_AddBoolToObject(result, "ok", right);
        cJSON_AddItemToObject(result, "diagnostics", cvm_diagnostics_json(&diag));
        cJSON_AddItemToArray(results, result);
    } else {
        cvm_diag_print(&diag, stderr);
        if (right)
            printf("%s: no mistakes\n", file);
    }
    int code = right ? CVM_EXIT_DONE : diag.machine_at_fault ? CVM_EXIT_MACHINE : CVM_EXIT_INPUT;
    cvm_arena_free(arena);
    return code;
}

int cvm_command_check(const CvmOptions *options) {
    cJSON *results = options->json ? cJSON_CreateArray() : NULL;
    int worst = CVM_EXIT_DONE;
    for (int i = 0; i < options->argument_count; i++) {
        int code = check_file(options->arguments[i], results);
        worst = code > worst ? code : worst;
    }
    if (results)
        cvm_report_json(results);
    return worst;
}
