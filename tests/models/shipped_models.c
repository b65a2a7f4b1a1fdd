/* The models that come with cvm: they check, and explain tells of them what the papers tell. */
#include "tests/support/command.h"
#include "tests/support/json.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static CvmTestPlace place;

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static char *model_path(const char *name) {
    static char path[512];
    const char *folder = getenv("CVM_SOURCE_DIR");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/models/%s", folder, name);
    return path;
}

static cJSON *explain(const char *name) {
    CvmTestResult result = cvm_test_cvmc(&place, "explain", model_path(name), "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *table = cJSON_Parse(result.out);
    assert_non_null(table);
    cvm_test_result_free(&result);
    return table;
}

static const cJSON *layer(const cJSON *table, const char *name) {
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(table, "layers")) {
        if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(row, "name")), name) == 0)
            return row;
    }
    fail_msg("there is no layer %s", name);
    return NULL;
}

static void sees(const cJSON *row, int side) {
    const cJSON *field = cJSON_GetObjectItem(row, "receptive_field");
    assert_int_equal((int)cJSON_GetArrayItem(field, 0)->valuedouble, side);
    assert_int_equal((int)cJSON_GetArrayItem(field, 1)->valuedouble, side);
}

/* What the papers count, or torchvision does where a model is its. */
static const struct {
    const char *file;
    int parameters;
} models[] = {
    {"lenet5.cvm", 61706},
    {"linear.cvm", 7850},
    {"vgg11.cvm", 132863336},
    {"vgg13.cvm", 133047848},
    {"vgg16.cvm", 138357544},
    {"vgg19.cvm", 143667240},
    {"alexnet_single_tower.cvm", 61100840},
    {"alexnet.cvm", 60965224},
    {"vgg11_bn.cvm", 132868840},
    {"vgg13_bn.cvm", 133053736},
    {"vgg16_bn.cvm", 138365992},
    {"vgg19_bn.cvm", 143678248},
    {"vgg16_cifar.cvm", 14990922},
    {"resnet18.cvm", 11689512},
    {"squeezenet.cvm", 1235496},
};

static void every_model_has_as_many_parameters_as_published(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        cJSON *table = explain(models[i].file);
        if ((int)cvm_test_number(table, "parameters") != models[i].parameters)
            fail_msg("%s has %d parameters", models[i].file,
                     (int)cvm_test_number(table, "parameters"));
        cJSON_Delete(table);
    }
}

/* A new model is in the table above. */
static void every_model_checks(void **state) {
    (void)state;
    int count = 0;
    DIR *folder = opendir(model_path(""));
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strstr(entry->d_name, ".cvm"))
            continue;
        count++;
        cvm_test_expect(&place, 0, "no mistakes", "", "check", model_path(entry->d_name), NULL);
    }
    closedir(folder);
    assert_int_equal(count, sizeof models / sizeof *models);
}

static void vgg16_sees_what_its_stages_see(void **state) {
    (void)state;
    cJSON *table = explain("vgg16.cvm");
    sees(layer(table, "body.vgg_stage1.maxpool1"), 6);
    sees(layer(table, "body.vgg_stage5.conv3"), 196);
    sees(layer(table, "body.vgg_stage5.maxpool1"), 212);
    cJSON_Delete(table);
}

/* Pools without a kernel: of 27 pixels, 6 windows of 5 that begin 4 or 5 apart; then all of it. */
static void pools_without_a_kernel_see_their_windows(void **state) {
    (void)state;
    cvm_test_write_text(&place, "pools.cvm",
                        "model Pools {\n    input image: [3, 27, 27]\n    adaptive_avgpool(6) "
                        "global_avgpool flatten linear(2)\n}\n");
    CvmTestResult result = cvm_test_cvmc(&place, "explain", "pools.cvm", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *table = cJSON_Parse(result.out);
    sees(layer(table, "adaptive_avgpool1"), 5);
    sees(layer(table, "global_avgpool1"), 5 + 5 * 4);
    cJSON_Delete(table);
    cvm_test_result_free(&result);
}

static int lines_of_model(const char *text) {
    const char *begin = strstr(text, "model "), *end = strstr(begin, "\n}");
    int lines = 1;
    for (const char *at = begin; at <= end; at++)
        lines += *at == '\n';
    return lines;
}

static void vgg16_is_short(void **state) {
    (void)state;
    size_t size;
    char *text = cvm_test_read(&place, model_path("vgg16.cvm"), &size);
    assert_true(lines_of_model(text) <= 15);
    free(text);
}

static void lenet5_has_61706_parameters_where_they_belong(void **state) {
    (void)state;
    cJSON *table = explain("lenet5.cvm");
    assert_int_equal((int)cvm_test_number(table, "parameters"), 61706);
    assert_int_equal((int)cvm_test_number(layer(table, "body.conv1"), "parameters"), 156);
    assert_int_equal((int)cvm_test_number(layer(table, "body.conv2"), "parameters"), 2416);
    assert_int_equal((int)cvm_test_number(layer(table, "body.linear1"), "parameters"), 48120);
    assert_int_equal((int)cvm_test_number(layer(table, "body.linear2"), "parameters"), 10164);
    assert_int_equal((int)cvm_test_number(layer(table, "head.linear1"), "parameters"), 850);
    cJSON_Delete(table);
    cvm_test_expect(&place, 0, "61,706 parameters", "", "explain", model_path("lenet5.cvm"), NULL);
}

static void lenet5_counts_flops_and_receptive_fields(void **state) {
    (void)state;
    cJSON *table = explain("lenet5.cvm");
    /* 2 * 28*28 * 6 * 25 multiply-adds, and a bias for each output */
    assert_int_equal((int)cvm_test_number(layer(table, "body.conv1"), "flops"),
                     2 * 784 * 150 + 784 * 6);
    assert_int_equal((int)cvm_test_number(layer(table, "head.linear1"), "flops"), 2 * 840 + 10);
    /* picture, weights and bias read, feature maps written */
    assert_int_equal((int)cvm_test_number(layer(table, "body.conv1"), "bytes"),
                     4 * (784 + 156 + 784 * 6));
    sees(layer(table, "body.conv1"), 5);
    sees(layer(table, "body.maxpool1"), 6);
    sees(layer(table, "body.conv2"), 14);
    sees(layer(table, "body.maxpool2"), 16);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(layer(table, "body.linear1"), "receptive_field")));
    cJSON_Delete(table);
}

/* What cvm promises of its first model; skipped where the data set is not installed, and under
 * sanitizers, which have a smaller training to look at. */
static void lenet5_learns_fashion_mnist_in_ten_epochs(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED") || access("/usr/share/datasets/fashion-mnist", F_OK) != 0)
        skip();
    CvmTestResult result = cvm_test_cvmc(&place, "train", model_path("lenet5.cvm"), "--json", NULL);
    assert_int_equal(result.code, 0);
    const char *last = strstr(result.out, "{\"event\":\"trained\"");
    assert_non_null(last);
    cJSON *trained = cJSON_Parse(last);
    assert_int_equal((int)cvm_test_number(trained, "epoch"), 10);
    assert_true(cJSON_GetObjectItem(trained, "test_accuracy")->valuedouble >= 0.9);
    cJSON_Delete(trained);
    cvm_test_result_free(&result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_checks),
        cmocka_unit_test(lenet5_has_61706_parameters_where_they_belong),
        cmocka_unit_test(lenet5_counts_flops_and_receptive_fields),
        cmocka_unit_test(every_model_has_as_many_parameters_as_published),
        cmocka_unit_test(vgg16_sees_what_its_stages_see),
        cmocka_unit_test(pools_without_a_kernel_see_their_windows),
        cmocka_unit_test(vgg16_is_short),
        cmocka_unit_test(lenet5_learns_fashion_mnist_in_ten_epochs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
