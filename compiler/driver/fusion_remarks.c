/* See fusion_remarks.h. The remarks come from the passes' log (compiler/passes/log.h); here they
 * are put in the order of the text they speak of. */
#include "compiler/driver/fusion_remarks.h"

#include "compiler/driver/report.h"
#include "compiler/graph/op.h"

#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    const CvmRemark *remark;
    int number; /* in the order of the passes */
} Entry;

static int compare_places(const CvmSpan *a, const CvmSpan *b) {
    if (!a->source || !b->source)
        return !a->source - !b->source; /* what has no place goes last */
    int files = strcmp(a->source->path, b->source->path);
    if (files)
        return files;
    if (a->first_line != b->first_line)
        return a->first_line < b->first_line ? -1 : 1;
    return (a->first_column > b->first_column) - (a->first_column < b->first_column);
}

static int by_place(const void *left, const void *right) {
    const Entry *a = left, *b = right;
    int places = compare_places(&a->remark->node->origin.span, &b->remark->node->origin.span);
    return places ? places : a->number - b->number;
}

static Entry *collect(CvmSession *session, const CvmPassLog *log, int *count) {
    *count = 0;
    for (const CvmRemark *remark = log->first; remark; remark = remark->next)
        *count += !strcmp(remark->action, "fused");
    Entry *entries = cvm_arena_array(session->arena, (size_t)*count + 1, sizeof *entries);
    int next = 0;
    for (const CvmRemark *remark = log->first; remark; remark = remark->next)
        if (!strcmp(remark->action, "fused")) {
            entries[next] = (Entry){remark, next};
            next++;
        }
    qsort(entries, (size_t)*count, sizeof *entries, by_place);
    return entries;
}

static void print_source_line(const CvmSpan *span) {
    const char *line = span->source->text, *end = line + span->source->length;
    for (int i = 1; i < span->first_line && line < end; line++)
        i += *line == '\n';
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    size_t length = 0;
    while (line + length < end && line[length] != '\n')
        length++;
    printf("%s:%d: %.*s\n", span->source->path, span->first_line, (int)length, line);
}

static void print_entry(CvmSession *session, const CvmRemark *remark) {
    const char *reason = cvm_remark_reason(remark, session->arena);
    CvmNodeLabel node = cvm_node_label(remark->node), other = cvm_node_label(remark->other);
    printf("    %-7s  %s %s %s%s%s\n", remark->refused ? "refused" : "fused", node.text,
           remark->link, other.text, reason ? ": " : "", reason ? reason : "");
}

static void print_text(CvmSession *session, const Entry *entries, int count) {
    const CvmSpan *line = NULL;
    int refused = 0;
    for (int i = 0; i < count; i++) {
        const CvmSpan *span = &entries[i].remark->node->origin.span;
        bool same = line && line->source == span->source && line->first_line == span->first_line;
        if (!same && span->source)
            print_source_line(span);
        else if (!same)
            puts("without a place in the source:");
        line = span;
        print_entry(session, entries[i].remark);
        refused += entries[i].remark->refused;
    }
    printf("%s%d candidates, %d fused, %d refused\n", count ? "\n" : "", count, count - refused,
           refused);
}

static cJSON *node_json(const CvmNode *node) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "id", node->id);
    cJSON_AddStringToObject(object, "op", cvm_op_info(node->op)->name);
    if (node->origin.name)
        cJSON_AddStringToObject(object, "layer", node->origin.name);
    CvmNodePlace place = cvm_node_place(node);
    if (*place.text)
        cJSON_AddStringToObject(object, "place", place.text);
    return object;
}

static void print_json(const Entry *entries, int count) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        const CvmRemark *remark = entries[i].remark;
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(array, object);
        cJSON_AddStringToObject(object, "pass", remark->pass);
        cJSON_AddStringToObject(object, "outcome", remark->refused ? "refused" : "fused");
        if (remark->application)
            cJSON_AddNumberToObject(object, "application", remark->application);
        cJSON_AddItemToObject(object, "node", node_json(remark->node));
        cJSON_AddItemToObject(object, "other", node_json(remark->other));
        if (remark->reason)
            cJSON_AddStringToObject(object, "reason", remark->reason);
        if (remark->cause)
            cJSON_AddItemToObject(object, "cause", node_json(remark->cause));
    }
    cvm_report_json(array);
}

bool cvm_explain_fusion(CvmSession *session) {
    CvmGraph *graph = cvm_session_graph(session);
    CvmPassLog log = cvm_pass_log(session->arena);
    if (!graph || !cvm_session_run_passes(session, graph, &log))
        return false;
    int count;
    const Entry *entries = collect(session, &log, &count);
    if (session->options->json)
        print_json(entries, count);
    else
        print_text(session, entries, count);
    return true;
}
