// A libcublas.so without a GPU: the one product that helix-backend-cuda calls, on the streams of libcuda.c. Matrices are
// column-major, as cuBLAS has them; every sum is a double.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" int emulation_enqueue(void *stream, void (*run)(void *), const void *data, size_t nbytes);

namespace {
enum { OK = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { F32 = 0, F64 = 1, F16 = 2, BF16 = 14 };        // cudaDataType_t
enum { COMPUTE_32F = 68, COMPUTE_64F = 70 };          // cublasComputeType_t; 69 and 77 (pedantic, TF32) are not used

struct Handle {
    void *stream;
};
struct Matrix {
    const char *data;
    int type, transposed;
    int64_t rows, batch; // leading dimension; distance of two matrices, in elements
};
struct Product {
    int64_t m, n, k, count;
    double alpha, beta;
    Matrix a, b, c;
};

size_t size_of(int type) { return type == F64 ? 8 : type == F32 ? 4 : 2; }

double get(const Matrix &x, int64_t item, int64_t row, int64_t column) {
    if (x.transposed) {
        int64_t kept = row;
        row = column;
        column = kept;
    }
    const char *at = x.data + (size_t)(item * x.batch + column * x.rows + row) * size_of(x.type);
    if (x.type == F64) return *(const double *)at;
    if (x.type == F32) return *(const float *)at;
    if (x.type == F16) return (double)*(const _Float16 *)at;
    uint32_t bits = (uint32_t) * (const uint16_t *)at << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
void put(const Matrix &x, int64_t item, int64_t row, int64_t column, double value) {
    char *at = const_cast<char *>(x.data) + (size_t)(item * x.batch + column * x.rows + row) * size_of(x.type);
    if (x.type == F64) *(double *)at = value;
    else if (x.type == F32) *(float *)at = (float)value;
    else if (x.type == F16) *(_Float16 *)at = (_Float16)(float)value;
    else {
        float rounded = (float)value;
        uint32_t bits;
        memcpy(&bits, &rounded, 4);
        *(uint16_t *)at = rounded != rounded ? 0x7FC0 : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
}
void run(void *data) {
    const Product &p = *(const Product *)data;
    for (int64_t item = 0; item < p.count; item++)
        for (int64_t column = 0; column < p.n; column++)
            for (int64_t row = 0; row < p.m; row++) {
                double sum = 0;
                for (int64_t k = 0; k < p.k; k++) sum += get(p.a, item, row, k) * get(p.b, item, k, column);
                double before = p.beta == 0 ? 0 : p.beta * get(p.c, item, row, column);
                put(p.c, item, row, column, p.alpha * sum + before);
            }
}
} // namespace

extern "C" {
int cublasCreate_v2(void **handle) { return *handle = calloc(1, sizeof(Handle)), OK; }
int cublasDestroy_v2(void *handle) { return free(handle), OK; }
int cublasGetVersion_v2(void *, int *version) { return *version = 130000, OK; }
int cublasSetStream_v2(void *handle, void *stream) { return ((Handle *)handle)->stream = stream, OK; }
int cublasSetMathMode(void *, int) { return OK; }
const char *cublasGetStatusName(int code) { return code == OK ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS emulated failure"; }

int cublasGemmStridedBatchedEx(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int a_type,
                               int lda, long long stride_a, const void *b, int b_type, int ldb, long long stride_b,
                               const void *beta, void *c, int c_type, int ldc, long long stride_c, int count, int compute,
                               int) {
    if (a_type != b_type || a_type != c_type || (compute == COMPUTE_64F) != (a_type == F64)) return NOT_SUPPORTED;
    if (compute != COMPUTE_64F && compute != COMPUTE_32F) return NOT_SUPPORTED;
    if (m < 0 || n < 0 || k < 0 || count < 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return INVALID_VALUE;
    bool wide = compute == COMPUTE_64F;
    Product p = {m, n, k, count, wide ? *(const double *)alpha : *(const float *)alpha,
                 wide ? *(const double *)beta : *(const float *)beta, {(const char *)a, a_type, ta != 0, lda, stride_a},
                 {(const char *)b, b_type, tb != 0, ldb, stride_b}, {(const char *)c, c_type, 0, ldc, stride_c}};
    return emulation_enqueue(((Handle *)handle)->stream, run, &p, sizeof p);
}
}
