/* The programs of examples/, built and run as their comments say. */
#include "runtime/image.h"
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 28 };

static CvmTestPlace place;
static const char *const kinds[] = {"rows", "columns", "square", "ring"};

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 160, 48);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "--train", "-o", "model", NULL);
    for (int kind = 0; kind < 4; kind++) {
        char name[32];
        uint8_t file[32 + SIDE * SIDE];
        int head = sprintf((char *)file, "P5 %d %d 255\n", SIDE, SIDE);
        cvm_test_pattern(kind, 28, file + head);
        sprintf(name, "%s.pgm", kinds[kind]);
        cvm_test_write(&place, name, file, (size_t)head + SIDE * SIDE);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* The commands of the shell, where $EXAMPLES is the programs' folder, print what is wanted. */
static void expect(const char *commands, const char *wanted) {
    char line[2048];
    snprintf(line, sizeof line, "export EXAMPLES=\"$CVM_SOURCE_DIR/examples\"; %s", commands);
    char *text = cvm_test_shell(&place, line);
    if (!strstr(text, wanted))
        fail_msg("%s", text);
    free(text);
}

#define CC "cc -std=c99 -O1 -Wall -Wextra -Wpedantic -Werror -I. "

static void pictures_are_classified(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    expect(CC "$EXAMPLES/classify.c ./model.so -Wl,-rpath,'$ORIGIN' -o classify && "
              "./classify small.safetensors rows.pgm columns.pgm square.pgm ring.pgm",
           "ring.pgm: ring (class 3)");
    expect("! ./classify small.safetensors small.cvm && ! ./classify small.cvm ring.pgm",
           "not a valid safetensors file");
}

static void a_model_is_fine_tuned(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    expect(CC "$EXAMPLES/fine_tune.c ./model.so -Wl,-rpath,'$ORIGIN' -o fine_tune && "
              "./fine_tune small.safetensors tuned.safetensors 40 0 rows.pgm 1 columns.pgm "
              "2 square.pgm 3 ring.pgm",
           "4 of 4 pictures right");
    cvm_test_expect(&place, 0, "test accuracy", NULL, "eval", "small.cvm", "--checkpoint",
                    "tuned.safetensors", NULL);
}

/* The system's Python, which has the numpy that scripts/install-dependencies --tests installs. */
static void python_calls_it(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    expect("python=/usr/bin/python3; $python -c 'import numpy; "
           "numpy.save(\"images.npy\", numpy.zeros((3, 1, 28, 28)))' && "
           "$python $EXAMPLES/classify.py ./model.so small.safetensors images.npy",
           "2: ");
}

#define INSTALL                                                                                    \
    "{ [ -d installed ] || cmake --install \"$CVM_BUILD_DIR\" --prefix \"$PWD/installed\"; } > "   \
    "/dev/null && "

/* A model as a target, rebuilt with its file; and the library. */
static void cmake_builds_models(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    cvm_test_write_text(&place, "project/CMakeLists.txt",
                        "cmake_minimum_required(VERSION 3.18)\n"
                        "project(use C)\n"
                        "find_package(cvm 0.1 REQUIRED)\n"
                        "cvm_add_model(net ../small.cvm --batch 2)\n"
                        "add_executable(use use.c)\n"
                        "target_link_libraries(use PRIVATE net cvm::cvm)\n");
    cvm_test_write_text(&place, "project/use.c",
                        "#include <cvm.h>\n#include <net.h>\n#include <stdio.h>\n"
                        "int main(void) { puts(net_facts()); return cvm_api() != CVM_API; }\n");
    expect(INSTALL "cd project && cmake -G Ninja -B build -DCMAKE_PREFIX_PATH=$PWD/../installed && "
                   "cmake --build build && build/use",
           "\"model\":\"Small\"");
}

/* The library and its header, from where they are installed. */
static void libcvm_is_found_by_pkg_config(void **state) {
    (void)state;
    if (getenv("CVM_SANITIZED"))
        skip();
    cvm_test_write_text(
        &place, "use.c",
        "#include <cvm.h>\n#include <stdio.h>\n"
        "int main(void) {\n"
        "    cvm_network *network;\n"
        "    if (cvm_network_compile(\"model T { input x: [1, 2, 2] flatten linear(2) }\",\n"
        "                            NULL, &network)) return 1;\n"
        "    puts(cvm_network_facts(network));\n"
        "    cvm_network_free(network);\n"
        "    return cvm_api() != CVM_API;\n"
        "}\n");
    expect(INSTALL "export PKG_CONFIG_PATH=$(dirname $(find installed -name cvm.pc)) && "
                   "cc use.c $(pkg-config --cflags --libs cvm) -o use && ./use && "
                   "installed/bin/cvmc check installed/share/cvm/models/vgg16.cvm",
           "\"model\":\"T\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_classified), cmocka_unit_test(a_model_is_fine_tuned),
        cmocka_unit_test(python_calls_it),         cmocka_unit_test(libcvm_is_found_by_pkg_config),
        cmocka_unit_test(cmake_builds_models),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
