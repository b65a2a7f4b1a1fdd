/* See table.h. */
#include "compiler/driver/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct Row {
    const char **cells; /* NULL: empty */
    struct Row *next;
} Row;

struct CvmTable {
    CvmArena *arena;
    const CvmColumn *columns;
    int count;
    Row *first, *last;
};

CvmTable *cvm_table_create(CvmArena *arena, const CvmColumn *columns, int count) {
    CvmTable *table = CVM_NEW(arena, CvmTable);
    *table = (CvmTable){.arena = arena, .columns = columns, .count = count};
    return table;
}

void cvm_table_add_row(CvmTable *table) {
    Row *row = CVM_NEW(table->arena, Row);
    row->cells = cvm_arena_array(table->arena, (size_t)table->count, sizeof *row->cells);
    if (table->last)
        table->last->next = row;
    else
        table->first = row;
    table->last = row;
}

void cvm_table_set(CvmTable *table, int column, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = cvm_arena_format_list(table->arena, format, arguments);
    va_end(arguments);
    table->last->cells[column] = text;
}

/* 0 where no row has anything. */
static int width_of(const CvmTable *table, int column) {
    size_t width = 0;
    for (const Row *row = table->first; row; row = row->next)
        if (row->cells[column] && strlen(row->cells[column]) > width)
            width = strlen(row->cells[column]);
    size_t heading = strlen(table->columns[column].heading);
    return (int)(width && heading > width ? heading : width);
}

/* Spaces are owed until something follows them, so that no line ends with any. */
static void print_cell(const char *text, int width, bool right, int *owed) {
    int length = (int)strlen(text);
    int before = *owed + (right ? width - length : 0);
    if (length > 0)
        printf("%*s%s", before, "", text);
    *owed = length > 0 ? (right ? 2 : width - length + 2) : *owed + width + 2;
}

void cvm_table_print(const CvmTable *table) {
    int *widths = cvm_arena_array(table->arena, (size_t)table->count, sizeof *widths);
    for (int i = 0; i < table->count; i++)
        widths[i] = width_of(table, i);
    int owed = 0;
    for (int i = 0; i < table->count; i++)
        if (widths[i])
            print_cell(table->columns[i].heading, widths[i], table->columns[i].right, &owed);
    putchar('\n');
    for (const Row *row = table->first; row; row = row->next) {
        owed = 0;
        for (int i = 0; i < table->count; i++)
            if (widths[i])
                print_cell(row->cells[i] ? row->cells[i] : "", widths[i], table->columns[i].right,
                           &owed);
        putchar('\n');
    }
}
