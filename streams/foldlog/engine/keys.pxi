"""Keys of records, compiled; part of `compiled.pyx`."""


def keys_of(messages):
    """What `shortcut` says."""
    cdef dict found = {}
    cdef list keys = None
    before = None
    for message in messages:
        key = message.key()
        if key is not None:
            partition = message.partition()
            if keys is None or partition != before:
                keys, before = found.setdefault(partition, []), partition
            keys.append(key)
    return found


cdef bytes versioned(bytes key, int64_t version):
    """`key@version`."""
    cdef char digits[20]
    cdef Py_ssize_t first = 20, size = PyBytes_GET_SIZE(key)
    cdef bytes place
    while True:
        first -= 1
        digits[first] = <char>(48 + version % 10)
        version //= 10
        if version == 0:
            break
    place = PyBytes_FromStringAndSize(NULL, size + 21 - first)
    memcpy(PyBytes_AS_STRING(place), PyBytes_AS_STRING(key), size)
    PyBytes_AS_STRING(place)[size] = 64
    memcpy(PyBytes_AS_STRING(place) + size + 1, digits + first, 20 - first)
    return place


cdef bint same(text, bytes data) except -1:
    """Whether a string is these bytes."""
    cdef Py_ssize_t size
    cdef const char* own
    if not PyUnicode_CheckExact(text):
        raise Uncommon
    own = PyUnicode_AsUTF8AndSize(text, &size)
    return size == PyBytes_GET_SIZE(data) and memcmp(own, PyBytes_AS_STRING(data), size) == 0
