/* cvmc inspect: what a shared object holds, told from its facts without running it. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/table.h"
#include "compiler/object/object.h"

#include <string.h>
#include <sys/stat.h>

static const char *text_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "?";
}

static double number_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* "[3, 224, 224]", and how many elements that are. */
static const char *shape_of(const cJSON *object, CvmArena *arena, double *elements) {
    const char *text = "";
    const cJSON *size;
    *elements = 1;
    cJSON_ArrayForEach(size, cJSON_GetObjectItemCaseSensitive(object, "shape")) {
        text = cvm_arena_format(arena, "%s%s%.0f", text, *text ? ", " : "", size->valuedouble);
        *elements *= size->valuedouble;
    }
    return cvm_arena_format(arena, "[%s]", text);
}

static void print_ports(const cJSON *facts, const char *kind, CvmArena *arena) {
    const cJSON *port;
    double elements;
    cJSON_ArrayForEach(port, cJSON_GetObjectItemCaseSensitive(facts, kind)) {
        const char *shape = shape_of(port, arena, &elements);
        printf("%.*s %s: %s %s\n", (int)strlen(kind) - 1, kind, text_of(port, "name"),
               text_of(port, "dtype"), shape);
    }
}

static void print_codes(const cJSON *facts) {
    const cJSON *code, *plan, *feature;
    const cJSON *packed = cJSON_GetObjectItemCaseSensitive(facts, "packed");
    const char *where = cJSON_IsTrue(packed) ? "kept in a file beside the weights" : "in memory";
    char amount[16];
    cJSON_ArrayForEach(code, cJSON_GetObjectItemCaseSensitive(facts, "codes")) {
        printf("code for %s, which needs", text_of(code, "cpu"));
        cJSON_ArrayForEach(feature, cJSON_GetObjectItemCaseSensitive(code, "features"))
            printf(" %s", cJSON_IsString(feature) ? feature->valuestring : "?");
        putchar('\n');
        cJSON_ArrayForEach(plan, cJSON_GetObjectItemCaseSensitive(code, "plans")) {
            printf("  %s of %.0f: %.0f kernel calls, %sB of working memory\n",
                   text_of(plan, "does"), number_of(plan, "batch"), number_of(plan, "calls"),
                   cvm_amount_text(number_of(plan, "arena_bytes"), amount));
        }
        printf("  packed weights for inference: %sB, %s\n",
               cvm_amount_text(number_of(code, "packed_bytes"), amount), where);
    }
}

static void print_parameters(const cJSON *facts, CvmArena *arena) {
    static const CvmColumn columns[] = {{"parameter", false}, {"shape", false}, {"elements", true}};
    CvmTable *table = cvm_table_create(arena, columns, 3);
    const cJSON *parameter;
    double all = 0, elements;
    char count[28];
    cJSON_ArrayForEach(parameter, cJSON_GetObjectItemCaseSensitive(facts, "parameters")) {
        const char *shape = shape_of(parameter, arena, &elements);
        all += elements;
        cvm_table_add_row(table);
        cvm_table_set(table, 0, "%s", text_of(parameter, "name"));
        cvm_table_set(table, 1, "%s", shape);
        cvm_table_set(table, 2, "%s", cvm_count_text((int64_t)elements, count));
    }
    putchar('\n');
    cvm_table_print(table);
    printf("%s parameters, whose names and shapes hash to %s\n",
           cvm_count_text((int64_t)all, count), text_of(facts, "parameters_hash"));
}

static void print_text(const cJSON *facts, const char *path, CvmArena *arena) {
    struct stat status;
    char size[28];
    printf("%s of %s, compiled by cvm %s with LLVM %s (ABI %.0f)\n", text_of(facts, "model"),
           text_of(facts, "source"), text_of(facts, "cvm"), text_of(facts, "llvm"),
           number_of(facts, "abi"));
    if (stat(path, &status) == 0)
        printf("%s bytes; model %s; passes %s; precision %s\n",
               cvm_count_text(status.st_size, size), text_of(facts, "model_hash"),
               text_of(facts, "passes"), text_of(facts, "precision"));
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(facts, "blas")))
        puts("calls OpenBLAS for linear layers of large batches");
    print_ports(facts, "inputs", arena);
    print_ports(facts, "outputs", arena);
    print_codes(facts);
    print_parameters(facts, arena);
}

int cvm_command_inspect(const CvmOptions *options) {
    const char *path = options->arguments[0];
    CvmArena *arena = cvm_arena_create();
    CvmError error;
    int code = CVM_EXIT_DONE;
    const char *text = cvm_object_facts(path, arena, &error);
    cJSON *facts = text ? cJSON_Parse(text) : NULL;
    if (!text) {
        cvm_report_error("%s", error.message);
        code = cvm_exit_code(error.kind);
    } else if (!facts) {
        cvm_report_error("%s has facts that are no JSON: it is damaged", path);
        code = CVM_EXIT_INPUT;
    } else if (options->json) {
        cvm_report_json(facts);
    } else {
        print_text(facts, path, arena);
        cJSON_Delete(facts);
    }
    cvm_arena_free(arena);
    return code;
}
