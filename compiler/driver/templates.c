/* See templates.h. */
#include "compiler/driver/templates.h"
#include "compiler/driver/class_names.h"

#include "compiler/driver/canvas.h"
#include "compiler/driver/report.h"
#include "compiler/graph/op.h"
#include "compiler/training_graph.h"

#include <math.h>
#include <string.h>

enum { PER_ROW = 5, GAP = 8, CAPTION = 20, LEAST_SIDE = 112 };

/* The name of the weights, when nothing but one linear layer (and its bias) stands between picture
 * and logits; else NULL. */
static const char *single_linear(const CvmGraph *graph) {
    const char *weight = NULL;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        CvmOpClass class = cvm_op_info(node->op)->class;
        if (class == CVM_CLASS_SOURCE || class == CVM_CLASS_ALIAS || node->op == CVM_OP_BIAS)
            continue;
        if (node->op != CVM_OP_LINEAR || weight)
            return NULL;
        weight = node->inputs[1]->origin.name;
    }
    return weight;
}

/* What the caption and the scale need of one template. */
typedef struct Template {
    const float *weights; /* [c, h, w] */
    CvmShape shape;
    float largest; /* magnitude */
} Template;

static CvmColor color_at(const Template *template, int64_t y, int64_t x) {
    int64_t plane = template->shape.sizes[1] * template->shape.sizes[2];
    const float *weight = template->weights + y * template->shape.sizes[2] + x;
    float scale = template->largest > 0 ? 1 / template->largest : 0;
    if (template->shape.sizes[0] == 3) { /* grey is 0 */
        uint8_t levels[3];
        for (int c = 0; c < 3; c++)
            levels[c] = (uint8_t)lrintf(127.5f + 127.5f * weight[c * plane] * scale);
        return (CvmColor){levels[0], levels[1], levels[2]};
    }
    return cvm_diverging_color(weight[0] * scale);
}

static void draw_template(CvmImage *canvas, const Template *template, int left, int top, int zoom) {
    for (int64_t y = 0; y < template->shape.sizes[1]; y++)
        for (int64_t x = 0; x < template->shape.sizes[2]; x++)
            cvm_canvas_fill(canvas, left + (int)x * zoom, top + (int)y * zoom, zoom, zoom,
                            color_at(template, y, x));
}

static bool draw_templates(CvmSession *session, const CvmStored *weights, CvmImage *canvas) {
    CvmShape input = cvm_model_input(session->model);
    int height = (int)input.sizes[1], width = (int)input.sizes[2];
    int side = height > width ? height : width;
    int zoom = side >= LEAST_SIDE ? 1 : (LEAST_SIDE + side - 1) / side;
    int classes = (int)weights->shape.sizes[0];
    int columns = classes < PER_ROW ? classes : PER_ROW;
    int rows = (classes + PER_ROW - 1) / PER_ROW;
    int cell_width = width * zoom + GAP, cell_height = height * zoom + CAPTION + GAP;
    CvmError error;
    if (!cvm_canvas_create(canvas, rows * cell_height + GAP, columns * cell_width + GAP, &error))
        return cvm_session_fail(session, &error);
    int64_t size = weights->shape.sizes[1];
    for (int label = 0; label < classes; label++) {
        Template template = {(const float *)weights->data + label * size, input, 0};
        for (int64_t i = 0; i < size; i++)
            template.largest = fmaxf(template.largest, fabsf(template.weights[i]));
        int left = GAP + label % PER_ROW * cell_width, top = GAP + label / PER_ROW * cell_height;
        draw_template(canvas, &template, left, top, zoom);
        char name[32];
        cvm_canvas_text(canvas, left, top + height * zoom + 3, width * zoom, CVM_BLACK,
                        cvm_session_class_name(session, label, name, sizeof name));
    }
    return true;
}

bool cvm_write_templates(CvmSession *session) {
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    const char *name = single_linear(graph);
    const CvmStored *weights = name ? cvm_store_find(&session->store, name) : NULL;
    if (!weights)
        return true;
    CvmImage canvas;
    CvmError error;
    char path[CVM_PATH_SIZE];
    cvm_session_stem(session, "-templates.png", path);
    if (!draw_templates(session, weights, &canvas))
        return false;
    bool written = cvm_image_write_png(path, &canvas, &error);
    cvm_image_free(&canvas);
    if (!written)
        return cvm_session_fail(session, &error);
    if (session->options->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "event", "templates");
        cJSON_AddStringToObject(object, "file", path);
        cvm_report_json(object);
    } else {
        printf("weight templates of the %lld classes in %s (blue takes away, red adds)\n",
               (long long)weights->shape.sizes[0], path);
    }
    return true;
}
