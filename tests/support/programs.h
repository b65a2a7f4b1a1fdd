/* Small .cvm files for end-to-end tests, on the data set of patterns.h. */
#ifndef CVM_TEST_PROGRAMS_H
#define CVM_TEST_PROGRAMS_H

/* The data set's declaration. */
#define CVM_TEST_DATA                                                                              \
    "data patterns {\n"                                                                            \
    "    folder \"patterns\"\n"                                                                    \
    "    image [1, 28, 28]\n"                                                                      \
    "    classes [\"rows\", \"columns\", \"square\", \"ring\"]\n"                                  \
    "    train idx(\"train-images\", \"train-labels\")\n"                                          \
    "    test  idx(\"test-images\", \"test-labels\")\n"                                            \
    "}\n"

/* A small network with every kind of layer LeNet has. */
#define CVM_TEST_MODEL                                                                             \
    "model Small(classes: int = 4) {\n"                                                            \
    "    input image: [1, 28, 28]\n"                                                               \
    "    body {\n"                                                                                 \
    "        conv(4, kernel=5, pad=2) relu maxpool(2)\n"                                           \
    "        conv(8, kernel=5) relu maxpool(2)\n"                                                  \
    "        flatten\n"                                                                            \
    "        linear(16) relu\n"                                                                    \
    "    }\n"                                                                                      \
    "    head { linear(classes) }\n"                                                               \
    "}\n"

/* A train of it; `lines` are further lines of its body. */
#define CVM_TEST_TRAIN(lines)                                                                      \
    "train Small on patterns {\n"                                                                  \
    "    normalize mean_of_train\n"                                                                \
    "    loss cross_entropy\n"                                                                     \
    "    optimizer sgd(rate=0.02, momentum=0.9, decay=1e-4)\n"                                     \
    "    schedule cosine\n"                                                                        \
    "    epochs 4 batch 32 seed 3\n" lines "}\n"

#define CVM_TEST_PROGRAM CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("")

#endif
