"""Where records belong, compiled; part of `compiled.pyx`."""


def partition_of(bytes key, int64_t partitions):
    """What `core.partitioning` says."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(key)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key), at = 0
    cdef uint32_t m = 0x5BD1E995, k, h = <uint32_t>0x9747B28C ^ <uint32_t>size
    while size - at >= 4:
        k = data[at] | <uint32_t>data[at + 1] << 8 | <uint32_t>data[at + 2] << 16 | <uint32_t>data[at + 3] << 24
        k *= m
        k = (k ^ k >> 24) * m
        h = h * m ^ k
        at += 4
    if at < size:
        k = data[at]
        if size - at > 1:
            k |= <uint32_t>data[at + 1] << 8
        if size - at > 2:
            k |= <uint32_t>data[at + 2] << 16
        h = (h ^ k) * m
    h = (h ^ h >> 13) * m
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions
