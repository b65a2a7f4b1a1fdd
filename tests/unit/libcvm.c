/* libcvm: a text in memory becomes a network that runs, differentiates and learns. */
#include "libcvm/cvm.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ELEMENTS = 36, CLASSES = 3 };

static const char text[] = "model Tiny(classes: int = 3) {\n"
                           "    input image: [1, 6, 6]\n"
                           "    body { conv(2, kernel=3) tanh flatten }\n"
                           "    head { linear(classes) }\n"
                           "}\n";

static float images[4 * ELEMENTS];
static const int32_t labels[4] = {0, 1, 2, 1};

static void ok(cvm_status status) {
    if (status)
        fail_msg("%s", cvm_message());
}

static cvm_network *compile(int64_t batch) {
    const cvm_options options = {.size = sizeof options, .batch = batch, .threads = 1};
    cvm_network *network = NULL;
    for (int i = 0; i < 4 * ELEMENTS; i++)
        images[i] = (float)((i * 29) % 31) / 15 - 1;
    ok(cvm_network_compile(text, &options, &network));
    return network;
}

static void a_text_becomes_a_network(void **state) {
    (void)state;
    float logits[4 * CLASSES], probabilities[4 * CLASSES];
    cvm_network *network = compile(4);
    cvm_shape shape = {.size = sizeof shape};
    ok(cvm_network_shape(network, &shape));
    assert_true(shape.height == 6 && shape.classes == CLASSES && shape.batch == 4);
    ok(cvm_network_run(network, images, 4, logits, probabilities));
    assert_true(fabsf(probabilities[0] + probabilities[1] + probabilities[2] - 1) < 1e-5f);
    assert_non_null(strstr(cvm_network_facts(network), "\"model\":\"Tiny\""));
    assert_int_equal(cvm_api(), CVM_API);
    assert_int_equal(cvm_network_parameter_count(network), 4);
    cvm_parameter parameter = {.size = sizeof parameter};
    ok(cvm_network_parameter_at(network, 0, &parameter));
    assert_string_equal(parameter.name, "body.conv1.weight");
    assert_true(parameter.elements == 18 && parameter.multiplier == 1);
    cvm_network_free(network);
}

/* By finite differences of the loss. */
static void gradients_are_those_of_the_loss(void **state) {
    (void)state;
    float weights[18], gradient[18], moved[18], above, below;
    const float step = 1e-2f;
    cvm_network *network = compile(4);
    ok(cvm_network_get(network, "body.conv1.weight", weights, 18));
    ok(cvm_network_differentiate(network, images, labels, NULL));
    ok(cvm_network_gradient(network, "body.conv1.weight", gradient, 18));
    for (int i = 0; i < 18; i += 5) {
        memcpy(moved, weights, sizeof moved);
        moved[i] = weights[i] + step;
        ok(cvm_network_set(network, "body.conv1.weight", moved, 18));
        ok(cvm_network_differentiate(network, images, labels, &above));
        moved[i] = weights[i] - step;
        ok(cvm_network_set(network, "body.conv1.weight", moved, 18));
        ok(cvm_network_differentiate(network, images, labels, &below));
        if (fabsf((above - below) / (2 * step) - gradient[i]) > 2e-3f)
            fail_msg("%d: %g and %g", i, (double)(above - below) / (double)(2 * step),
                     (double)gradient[i]);
    }
    cvm_network_free(network);
}

static void it_learns_and_its_weights_are_kept(void **state) {
    const char *path = temporary_path(state, "tiny.safetensors");
    float first, loss = 0, one[CLASSES], other[CLASSES];
    cvm_network *network = compile(4), *again = compile(1);
    ok(cvm_network_differentiate(network, images, labels, &first));
    ok(cvm_network_step(network, 0.1f, 1));
    for (int i = 0; i < 60; i++) {
        ok(cvm_network_differentiate(network, images, labels, &loss));
        ok(cvm_network_step(network, 0.1f, 1));
    }
    assert_true(loss < first / 2);
    ok(cvm_network_save(network, path));
    ok(cvm_network_load(again, path));
    ok(cvm_network_run(network, images, 1, one, NULL));
    ok(cvm_network_run(again, images, 1, other, NULL));
    assert_memory_equal(one, other, sizeof one);
    cvm_network_free(network);
    cvm_network_free(again);
}

static void expect(cvm_status status, cvm_status wanted, const char *sentence) {
    if (status != wanted || !strstr(cvm_message(), sentence))
        fail_msg("%d: %s", status, cvm_message());
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    cvm_network *none = NULL;
    cvm_options options = {.size = sizeof options, .model = "Other"};
    float value;
    expect(cvm_network_compile(NULL, NULL, &none), CVM_BAD_ARGUMENT, "null");
    expect(cvm_network_compile(text, NULL, NULL), CVM_BAD_ARGUMENT, "null");
    expect(cvm_network_compile(text, &(cvm_options){.size = 1}, &none), CVM_BAD_ARGUMENT,
           "options.size");
    expect(cvm_network_compile(text, &options, &none), CVM_BAD_ARGUMENT, "no model 'Other'");
    expect(cvm_network_compile("", NULL, &none), CVM_BAD_ARGUMENT, "no model");
    options = (cvm_options){.size = sizeof options, .passes = "no-such"};
    expect(cvm_network_compile(text, &options, &none), CVM_BAD_ARGUMENT, "no-such");
    expect(cvm_network_compile("model M { input x: [1, 6, 6] lineer(3) }", NULL, &none),
           CVM_BAD_TEXT, "linear");
    expect(cvm_network_compile("import \"std/vgg.cvm\"", NULL, &none), CVM_BAD_TEXT, "import");
    assert_null(none);
    cvm_network *network = compile(1);
    expect(cvm_network_run(NULL, images, 1, &value, NULL), CVM_BAD_ARGUMENT, "null");
    expect(cvm_network_run(network, NULL, 1, &value, NULL), CVM_BAD_ARGUMENT, "null");
    expect(cvm_network_get(network, "x", &value, 1), CVM_BAD_ARGUMENT, "no parameter");
    expect(cvm_network_set(network, "head.linear1.bias", &value, 1), CVM_BAD_ARGUMENT,
           "3 elements");
    expect(cvm_network_gradient(NULL, "x", &value, 1), CVM_BAD_ARGUMENT, "null");
    expect(cvm_network_step(network, 0.1f, 1), CVM_BAD_ORDER, "no gradients");
    expect(cvm_network_step(network, -1, 1), CVM_BAD_ARGUMENT, "rate");
    expect(cvm_network_load(network, "/nowhere/at.all"), CVM_NO_FILE, "No such file");
    expect(cvm_network_parameter_at(network, 4, &(cvm_parameter){.size = sizeof(cvm_parameter)}),
           CVM_BAD_ARGUMENT, "no 4");
    expect(cvm_network_shape(network, NULL), CVM_BAD_ARGUMENT, "null");
    ok(cvm_network_discard(network));
    cvm_network_free(network);
    cvm_network_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_becomes_a_network),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test_setup_teardown(it_learns_and_its_weights_are_kept, temporary_setup,
                                        temporary_teardown),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
