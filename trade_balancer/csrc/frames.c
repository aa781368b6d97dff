/* trade_balancer._frames: cuts frames into records. A frame is its record's length, 4 bytes, little-endian, and the record.
 *
 * Law: no call of the system and no state; what is not a whole frame is not looked at. frames.py has the same in Python. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { LENGTH_BYTES = 4 };

static size_t length_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

/* Appends the records of all whole frames from `start` on, counts them, and returns where the last one ends; -1 with a Python error. */
static Py_ssize_t cut_from(size_t start, const Py_buffer *chunk, PyObject *records, Py_ssize_t *count)
{
    const uint8_t *bytes = chunk->buf;
    size_t left = (size_t)chunk->len - start;
    *count = 0;
    while (left >= LENGTH_BYTES) {
        const uint8_t *frame = bytes + ((size_t)chunk->len - left);
        const size_t length = length_at(frame);
        if (left - LENGTH_BYTES < length)
            break;
        if (records != Py_None) {
            PyObject *record = PyBytes_FromStringAndSize((const char *)frame + LENGTH_BYTES, (Py_ssize_t)length);
            if (record == NULL || PyList_Append(records, record) < 0) {
                Py_XDECREF(record);
                return -1;
            }
            Py_DECREF(record);
        }
        left -= LENGTH_BYTES + length;
        ++*count;
    }
    return chunk->len - (Py_ssize_t)left;
}

static PyObject *cut(PyObject *module, PyObject *args)
{
    Py_buffer chunk;
    Py_ssize_t start, count;
    PyObject *records;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nO:cut", &chunk, &start, &records))
        return NULL;
    Py_ssize_t end = -1;
    if (start < 0 || start > chunk.len)
        PyErr_Format(PyExc_ValueError, "start %zd is outside of a chunk of %zd bytes", start, chunk.len);
    else if (records != Py_None && !PyList_Check(records))
        PyErr_SetString(PyExc_TypeError, "records must be a list or None");
    else
        end = cut_from((size_t)start, &chunk, records, &count);
    PyBuffer_Release(&chunk);
    return end < 0 ? NULL : Py_BuildValue("nn", end, count);
}

static PyMethodDef methods[] = {
    {"cut", cut, METH_VARARGS, "cut(chunk, start, records): see frames.py"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_frames", "Cuts frames into records, in C.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__frames(void);

PyMODINIT_FUNC PyInit__frames(void)
{
    return PyModule_Create(&module);
}
