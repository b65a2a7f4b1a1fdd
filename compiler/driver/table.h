/* Tables for people, on stdout: columns as wide as their widest cell, empty ones left out. */
#ifndef CVM_DRIVER_TABLE_H
#define CVM_DRIVER_TABLE_H

#include "compiler/arena.h"

#include <stdbool.h>

typedef struct CvmColumn {
    const char *heading;
    bool right; /* aligned: numbers */
} CvmColumn;

typedef struct CvmTable CvmTable;

/* Keeps the columns' pointer; the table lives in the arena. */
CvmTable *cvm_table_create(CvmArena *arena, const CvmColumn *columns, int count);

/* A new last row with every cell empty. */
void cvm_table_add_row(CvmTable *table);

/* Fills a cell of the last row. */
void cvm_table_set(CvmTable *table, int column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void cvm_table_print(const CvmTable *table);

#endif
