/* safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
 * Format: https://huggingface.co/docs/safetensors. Files come from strangers: every length, offset,
 * overlap, overflow and duplicate name is checked before any byte of data is used. */
#ifndef CVM_RUNTIME_SAFETENSORS_H
#define CVM_RUNTIME_SAFETENSORS_H

#include "runtime/mapped_file.h"
#include "runtime/tensor.h"

typedef enum CvmFileDtype {
    CVM_FILE_F32,
    CVM_FILE_F16,
    CVM_FILE_BF16,
    CVM_FILE_F64,
    CVM_FILE_I64,
    CVM_FILE_I32,
    CVM_FILE_U8,
} CvmFileDtype;

typedef struct CvmFileTensor {
    const char *name;
    CvmFileDtype dtype;
    CvmShape shape;
    const void *data; /* into the mapping; only byte-aligned */
    int64_t bytes;
    int lanes; /* of one to be written: data lies as filters of so many lanes (filters.h); 0: plain,
                  as all are in files */
} CvmFileTensor;

typedef struct CvmFileText {
    const char *key, *value;
} CvmFileText;

typedef struct CvmTensorFile {
    CvmFileTensor *tensors; /* in the order of their data */
    int count;
    CvmFileText *metadata; /* the "__metadata__" strings */
    int metadata_count;
    void *header; /* the parsed JSON, which owns names and texts */
    CvmMappedFile mapping;
} CvmTensorFile;

/* Maps and validates a file. Errors: missing or unreadable (machine); anything wrong inside, an
 * element type other than the above, more than CVM_MAX_RANK dimensions (input). */
bool cvm_tensor_file_open(const char *path, CvmTensorFile *file, CvmError *error);
/* The same for bytes in memory (tests, fuzzing); the bytes must outlive the file and are not freed.
 */
bool cvm_tensor_file_parse(const void *bytes, int64_t size, CvmTensorFile *file, CvmError *error);
void cvm_tensor_file_close(CvmTensorFile *file);

const CvmFileTensor *cvm_tensor_file_find(const CvmTensorFile *file, const char *name);
const char *cvm_tensor_file_metadata(const CvmTensorFile *file, const char *key); /* or NULL */

/* Copies a tensor's elements as f32 (F16, BF16, F64 converted) or i32 (I64 checked to fit). False
 * when the file's type cannot become that. out: as many elements as the tensor has. */
bool cvm_file_tensor_read_f32(const CvmFileTensor *tensor, float *out, CvmError *error);
bool cvm_file_tensor_read_i32(const CvmFileTensor *tensor, int32_t *out, CvmError *error);

/* Gives the memory of a tensor's pages back to the system, after its elements were copied: they can
 * still be read, from the file again. Does nothing for bytes that are not mapped. */
void cvm_tensor_file_release(const CvmTensorFile *file, const CvmFileTensor *tensor);

/* "F32", "BF16"; the size of one element. */
const char *cvm_file_dtype_name(CvmFileDtype dtype);
int64_t cvm_file_dtype_bytes(CvmFileDtype dtype);

/* Writes a file through a temporary one in the same folder, synced and renamed: readers see the old
 * file or the new one, never a part; on error the temporary is removed. The same arguments give the
 * same bytes: metadata and tensors stand in the order given, and data begins at a multiple of 64.
 */
bool cvm_tensor_file_write(const char *path, const CvmFileTensor *tensors, int count,
                           const CvmFileText *metadata, int metadata_count, CvmError *error);

#endif
