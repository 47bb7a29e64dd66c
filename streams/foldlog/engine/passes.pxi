"""Passes over many rows, compiled; part of `compiled.pyx`. `passes` says what they do."""


def pack_all(dict rows, pack):
    cdef Packing usual = <Packing>pack if isinstance(pack, Packing) else None
    cdef dict found = {}
    cdef Py_ssize_t size = 0
    cdef bytes one
    for key, row in rows.items():
        if row is None:
            found[key] = None
            continue
        one = pack(row) if usual is None else usual.packed(row)
        size += PyBytes_GET_SIZE(one)
        found[key] = one
    return found, size


def find_all(keys, dict first, dict then):
    cdef dict found = {}
    cdef list missing = []
    for key in keys:
        row = PyDict_GetItem(first, key)
        if row == NULL:
            row = PyDict_GetItem(then, key)
        if row == NULL:
            missing.append(key)
        else:
            found[key] = <object>row
    return found, missing


def renew(dict rows, keys, dict first, dict then, Py_ssize_t room):
    cdef Py_ssize_t size
    for key in keys:
        if PyDict_GetItem(rows, key) == NULL:
            continue
        row = PyDict_GetItem(first, key)
        if row == NULL:
            row = PyDict_GetItem(then, key)
        size = 0 if row == NULL or <object>row is None else PyBytes_GET_SIZE(<bytes>row)
        if row == NULL or size > room:
            del rows[key]
        else:
            rows[key] = <object>row
            room -= size
    return room


def count_new(dict changed, dict cached, dict fetched):
    cdef Py_ssize_t count = 0
    for key in changed:
        if PyDict_GetItem(cached, key) == NULL:
            row = PyDict_GetItem(fetched, key)
            count += row == NULL or <object>row is None
    return count
