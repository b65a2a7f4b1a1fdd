/* Folders of pictures: what is listed, how it is split, and that pictures in memory and pictures
 * read again give the same. */
#include "runtime/dataset.h"

#include "tests/support/command.h"
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 10, PICTURE = 3 * CVM_SHAPE_SIDE * CVM_SHAPE_SIDE };

static CvmTestPlace place;
static char root[512];
static int messages;

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_shapes(&place, "shapes", COUNT);
    cvm_test_write_text(&place, "shapes/.hidden", "x");
    snprintf(root, sizeof root, "%s/shapes", place.folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static CvmPictureFolder list_all(void) {
    CvmError error;
    CvmPictureFolder folder;
    if (!cvm_picture_folder_list(root, cvm_shape_classes, CVM_SHAPE_CLASSES, true, &folder, &error))
        fail_msg("%s", error.message);
    return folder;
}

static void sub_folders_are_classes_in_order(void **state) {
    (void)state;
    CvmError error;
    CvmNames classes;
    assert_true(cvm_picture_classes(root, &classes, &error));
    assert_int_equal(classes.count, CVM_SHAPE_CLASSES);
    for (int i = 0; i < CVM_SHAPE_CLASSES; i++)
        assert_string_equal(classes.list[i], cvm_shape_classes[i]);
    cvm_names_free(&classes);
    CvmPictureFolder folder = list_all();
    assert_int_equal(folder.files.count, CVM_SHAPE_CLASSES * COUNT);
    assert_string_equal(folder.files.list[0], "blue bars/000.png");
    assert_string_equal(folder.files.list[COUNT + 1], "blue disc/001.png");
    assert_true(folder.labels[0] == 0 && folder.labels[COUNT] == 1);
    assert_int_equal(folder.skipped, 1);
    cvm_picture_folder_free(&folder);
    assert_false(cvm_picture_classes("/nowhere", &classes, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
}

static void a_split_divides_each_class(void **state) {
    (void)state;
    CvmError error;
    CvmPictureFolder rest = list_all(), held = list_all(), other = list_all();
    assert_true(cvm_picture_folder_split(&rest, 0.3, 1, false, &error));
    assert_true(cvm_picture_folder_split(&held, 0.3, 1, true, &error));
    assert_true(cvm_picture_folder_split(&other, 0.3, 2, true, &error));
    assert_int_equal(rest.files.count, 7 * CVM_SHAPE_CLASSES);
    assert_int_equal(held.files.count, 3 * CVM_SHAPE_CLASSES);
    int same = 0, counts[CVM_SHAPE_CLASSES] = {0};
    for (int64_t i = 0; i < held.files.count; i++) {
        counts[held.labels[i]]++;
        same += !strcmp(held.files.list[i], other.files.list[i]);
        for (int64_t j = 0; j < rest.files.count; j++)
            assert_string_not_equal(held.files.list[i], rest.files.list[j]);
    }
    assert_true(same < held.files.count); /* the seed matters */
    for (int i = 0; i < CVM_SHAPE_CLASSES; i++)
        assert_int_equal(counts[i], 3);
    assert_true(cvm_picture_folder_split(&other, 0.001, 1, true, &error)); /* one at least */
    assert_int_equal(other.files.count, CVM_SHAPE_CLASSES);
    assert_false(cvm_picture_folder_split(&other, 0.5, 1, true, &error));
    assert_non_null(strstr(error.message, "only picture of its class"));
    cvm_picture_folder_free(&rest);
    cvm_picture_folder_free(&held);
    cvm_picture_folder_free(&other);
}

static void count_message(void *context, const char *message) {
    (void)context;
    assert_true(strlen(message) > 0);
    messages++;
}

static void read_set(int64_t keep_bytes, int threads, CvmDataset *dataset) {
    CvmError error;
    CvmPictureFolder folder = list_all();
    CvmPool *pool = cvm_pool_create(threads, &error);
    const CvmFolderReading reading = {
        .preparation = {.channels = 3, .height = CVM_SHAPE_SIDE, .width = CVM_SHAPE_SIDE},
        .classes = CVM_SHAPE_CLASSES,
        .keep_bytes = keep_bytes,
        .pool = pool,
        .report = count_message};
    messages = 0;
    if (!cvm_dataset_read_folder(&folder, &reading, dataset, &error))
        fail_msg("%s", error.message);
    cvm_pool_free(pool);
}

static void kept_and_read_again_are_the_same(void **state) {
    (void)state;
    CvmError error;
    CvmDataset kept, read;
    read_set(1 << 30, 2, &kept);
    read_set(1000, 3, &read);
    assert_true(kept.pixels && !read.pixels && kept.count == read.count);
    CvmNormalization one = cvm_normalization_of(&kept), two = cvm_normalization_of(&read);
    assert_memory_equal(&one, &two, sizeof one);
    static float images[2][2 * PICTURE];
    int32_t labels[2][2], samples[] = {33, 4};
    const CvmBatch batches[] = {{&kept, &one, NULL, samples, 2, images[0], labels[0]},
                                {&read, &one, NULL, samples, 2, images[1], labels[1]}};
    assert_true(cvm_dataset_fill(&batches[0], &error));
    assert_true(cvm_dataset_fill(&batches[1], &error));
    assert_memory_equal(images[0], images[1], sizeof images[0]);
    assert_memory_equal(labels[0], labels[1], sizeof labels[0]);
    assert_true(labels[0][0] == 3 && labels[0][1] == 0);
    CvmImage shape = cvm_test_shape(3, 3);
    static uint8_t pixels[PICTURE];
    assert_true(cvm_dataset_picture(&read, 33, pixels, &error));
    assert_memory_equal(pixels, shape.pixels, PICTURE);
    cvm_image_free(&shape);
    cvm_test_remove(&place, "shapes/blue bars/004.png");
    assert_false(cvm_dataset_fill(&batches[1], &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    cvm_dataset_free(&kept);
    cvm_dataset_free(&read);
}

static void unreadable_pictures_are_named_and_left_out(void **state) {
    (void)state;
    CvmDataset set;
    for (int i = 0; i < 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "shapes/green disc/x%d.jpg", i);
        cvm_test_write_text(&place, name, "no picture");
    }
    CvmPictureFolder folder = list_all();
    int64_t good = folder.files.count - 12;
    cvm_picture_folder_free(&folder);
    for (int keep = 0; keep < 2; keep++) {
        read_set(keep ? 1 << 30 : 0, 2, &set);
        assert_int_equal(set.count, good);
        assert_int_equal(messages, 11); /* ten names and a count */
        CvmImage shape = cvm_test_shape(5, COUNT - 1);
        CvmError error;
        static uint8_t pixels[PICTURE];
        assert_true(cvm_dataset_picture(&set, good - 1, pixels, &error));
        assert_memory_equal(pixels, shape.pixels, PICTURE);
        assert_int_equal(set.labels[good - 1], 5);
        cvm_image_free(&shape);
        cvm_dataset_free(&set);
    }
}

static void odd_folders_are_refused(void **state) {
    (void)state;
    CvmError error;
    CvmPictureFolder folder;
    const char *few[] = {"blue bars", "blue disc"}, *more[] = {"blue disc", "purple"};
    assert_false(cvm_picture_folder_list(root, few, 2, true, &folder, &error));
    assert_non_null(strstr(error.message, "which is none of the classes"));
    const char *seven[CVM_SHAPE_CLASSES + 1] = {"purple"};
    memcpy(seven + 1, cvm_shape_classes, sizeof cvm_shape_classes);
    assert_false(
        cvm_picture_folder_list(root, seven, CVM_SHAPE_CLASSES + 1, true, &folder, &error));
    assert_non_null(strstr(error.message, "has no sub-folder for the class 'purple'"));
    assert_true(
        cvm_picture_folder_list(root, seven, CVM_SHAPE_CLASSES + 1, false, &folder, &error));
    cvm_picture_folder_free(&folder);
    char path[600];
    snprintf(path, sizeof path, "%s/blue disc", root);
    assert_false(cvm_picture_folder_list(path, more, 2, false, &folder, &error));
    assert_non_null(strstr(error.message, "holds no pictures"));
    CvmNames classes;
    assert_false(cvm_picture_classes(path, &classes, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
}

/* Pictures below a class's folder are the class's; links are followed, but not in a circle. */
static void folders_are_searched_below(void **state) {
    (void)state;
    char path[600], link[600];
    size_t size;
    char *picture = cvm_test_read(&place, "shapes/blue disc/001.png", &size);
    cvm_test_write(&place, "shapes/blue disc/new/old/a.JPEG", picture, size);
    cvm_test_write(&place, "elsewhere/b.Png", picture, size);
    free(picture);
    snprintf(path, sizeof path, "%s/elsewhere", place.folder);
    snprintf(link, sizeof link, "%s/blue disc/linked", root);
    assert_int_equal(symlink(path, link), 0);
    CvmPictureFolder folder = list_all();
    int found = 0;
    for (int64_t i = 0; i < folder.files.count; i++)
        if (!strcmp(folder.files.list[i], "blue disc/new/old/a.JPEG") ||
            !strcmp(folder.files.list[i], "blue disc/linked/b.Png"))
            found += folder.labels[i] == 1;
    assert_int_equal(found, 2);
    cvm_picture_folder_free(&folder);
    CvmNames names;
    CvmError error;
    assert_true(cvm_picture_names(root, &names, &error));
    assert_true(names.count > CVM_SHAPE_CLASSES * 5);
    assert_string_equal(names.list[0], "blue bars/000.png");
    cvm_names_free(&names);
    snprintf(link, sizeof link, "%s/blue disc/circle", root);
    assert_int_equal(symlink(".", link), 0);
    assert_false(
        cvm_picture_folder_list(root, cvm_shape_classes, CVM_SHAPE_CLASSES, true, &folder, &error));
    assert_non_null(strstr(error.message, "does a link lead in a circle?"));
    assert_int_equal(unlink(link), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sub_folders_are_classes_in_order),
        cmocka_unit_test(a_split_divides_each_class),
        cmocka_unit_test(kept_and_read_again_are_the_same),
        cmocka_unit_test(unreadable_pictures_are_named_and_left_out),
        cmocka_unit_test(odd_folders_are_refused),
        cmocka_unit_test(folders_are_searched_below),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
