// The Python module ltgnn._C (or ltgnn._C_cuda): importing it loads the library, which registers the
// operators with torch. Python's limited API, so that one binary serves every later Python.
#include <Python.h>

#if LTGNN_BACKEND == 0
#include "cpu/block_pool.h"
#include "cpu/kernels.h"
#endif

namespace {

PyObject* version(PyObject*, PyObject*) { return PyUnicode_FromString(LTGNN_VERSION); }

#if LTGNN_BACKEND == 0
PyObject* cpu_capability(PyObject*, PyObject*) { return PyUnicode_FromString(ltgnn::cpu_kernels().name); }

PyObject* release_blocks(PyObject*, PyObject*) { return PyLong_FromSize_t(ltgnn::release_blocks()); }
#endif

PyMethodDef methods[] = {
    {"version", version, METH_NOARGS, "The version of ltgnn that this library was built from."},
#if LTGNN_BACKEND == 0
    {"cpu_capability", cpu_capability, METH_NOARGS,
     "The instruction set in use: 'baseline', 'avx2', 'avx512', 'avx512_bf16' or 'avx512_amx'."},
    {"release_blocks", release_blocks, METH_NOARGS,
     "Give the large blocks of memory that no result uses any more back to the system; returns their bytes."},
#endif
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, LTGNN_MODULE_NAME, nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

#if LTGNN_BACKEND == 1
PyMODINIT_FUNC PyInit__C_cuda() { return PyModule_Create(&definition); }
#else
PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&definition); }
#endif
