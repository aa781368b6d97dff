/* trade_balancer.ledger._validation: records into transactions, by shard. validation.py has the same in Python. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "validation.h"

#include <stdbool.h>

static uint32_t fnv1a(const uint8_t *key, size_t length)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        value = (value ^ key[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(value >> 32);
}

/* MurmurHash2 with Kafka's seed. */
static uint32_t murmur2(const uint8_t *key, size_t length)
{
    const uint32_t factor = 0x5bd1e995;
    uint32_t value = UINT32_C(0x9747b28c) ^ (uint32_t)length, word;
    for (; length >= sizeof word; key += sizeof word, length -= sizeof word) {
        word = (uint32_t)key[0] | (uint32_t)key[1] << 8 | (uint32_t)key[2] << 16 | (uint32_t)key[3] << 24;
        word *= factor;
        word = (word ^ word >> 24) * factor;
        value = value * factor ^ word;
    }
    word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint32_t)key[i] << 8 * i;
    if (length > 0)
        value = (value ^ word) * factor;
    value = (value ^ value >> 13) * factor;
    return value ^ value >> 15;
}

static uint32_t shard_of(const struct ledger_name *account, uint32_t shards, int is_murmur2)
{
    if (shards == 1 || account->length == 0)
        return 0;
    return (is_murmur2 ? murmur2(account->bytes, account->length) & 0x7FFFFFFF : fnv1a(account->bytes, account->length)) % shards;
}

/* A new reference, or NULL with a Python error. */
static PyObject *text_of(const struct ledger_name *name)
{
    if (name->length > 0)
        return PyUnicode_FromStringAndSize((const char *)name->bytes, name->length);
    Py_INCREF(Py_None);
    return Py_None;
}

/* Puts a reference that is the tuple's from then on. Returns whether it is one. */
static bool put(PyObject *tuple, Py_ssize_t at, PyObject *item)
{
    return item != NULL && PyTuple_SetItem(tuple, at, item) == 0;
}

/* (id, account, kind, amount, time, other), see transaction.py; NULL with a Python error. */
static PyObject *tuple_of(PyObject *record, const struct ledger_transaction *transaction, enum ledger_reason reason)
{
    const bool is_valid = reason == LEDGER_VALID;
    PyObject *tuple = PyTuple_New(6);
    if (tuple == NULL)
        return NULL;
    if (!is_valid)
        Py_INCREF(record);
    const bool is_whole = put(tuple, 0, text_of(&transaction->id)) && put(tuple, 1, text_of(&transaction->account)) &&
                          put(tuple, 2, PyLong_FromLong(is_valid ? transaction->kind : -(long)reason)) &&
                          put(tuple, 3, PyLong_FromLongLong(is_valid ? transaction->amount : 0)) &&
                          put(tuple, 4, PyLong_FromLongLong(is_valid ? transaction->time : 0)) &&
                          put(tuple, 5, is_valid ? text_of(&transaction->other) : record);
    if (is_whole)
        return tuple;
    Py_DECREF(tuple);
    return NULL;
}

/* Returns 0, or -1 with a Python error. */
static int decode_into(PyObject *lists, PyObject *records, uint32_t shards, int is_murmur2)
{
    const Py_ssize_t count = PyList_Size(records);
    for (Py_ssize_t i = 0; i < count; i++) {
        struct ledger_transaction transaction;
        PyObject *record = PyList_GetItem(records, i);
        char *bytes;
        Py_ssize_t length;
        if (record == NULL || PyBytes_AsStringAndSize(record, &bytes, &length) < 0)
            return -1;
        const enum ledger_reason reason = ledger_read((const uint8_t *)bytes, (size_t)length, &transaction);
        PyObject *tuple = tuple_of(record, &transaction, reason);
        if (tuple == NULL)
            return -1;
        const int rc = PyList_Append(PyList_GetItem(lists, shard_of(&transaction.account, shards, is_murmur2)), tuple);
        Py_DECREF(tuple);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static PyObject *decode(PyObject *module, PyObject *args)
{
    PyObject *records;
    unsigned shards;
    int is_murmur2;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!Ip:decode", &PyList_Type, &records, &shards, &is_murmur2))
        return NULL;
    if (shards == 0)
        return PyErr_Format(PyExc_ValueError, "no shards");
    PyObject *lists = PyList_New((Py_ssize_t)shards);
    if (lists == NULL)
        return NULL;
    for (unsigned shard = 0; shard < shards; shard++) {
        PyObject *list = PyList_New(0);
        if (list == NULL || PyList_SetItem(lists, (Py_ssize_t)shard, list) < 0) {
            Py_DECREF(lists);
            return NULL;
        }
    }
    if (decode_into(lists, records, shards, is_murmur2) == 0)
        return lists;
    Py_DECREF(lists);
    return NULL;
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "decode(records, shards, is_murmur2): see validation.py"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_validation", "Records into transactions, in C.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__validation(void);

PyMODINIT_FUNC PyInit__validation(void)
{
    return PyModule_Create(&module);
}
