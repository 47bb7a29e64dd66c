"""The remembered ids of an aggregate, compiled; part of `compiled.pyx`. `remembered` says what they are."""


cdef class Remembering:
    """Looks for the id that is at hand among remembered ones, and adds it to them."""

    cdef int64_t kept, most
    cdef Py_ssize_t forgotten
    cdef Bytes item

    def __init__(self, int64_t kept, int64_t most):
        self.kept, self.most, self.item = kept, most, Bytes()

    cdef bint is_remembered(self, bytes handled, int64_t count) except -1:
        """Whether the command's id is among the remembered ones, forgotten ones included; finds where those end."""
        cdef const char* data = PyBytes_AS_STRING(handled)
        cdef const char* item = self.item.data
        cdef Py_ssize_t size = PyBytes_GET_SIZE(handled), own = self.item.size, at = 0, length
        cdef int64_t left = count + 1 - self.kept
        self.forgotten = 0
        while at < size:
            if own <= size - at and data[at + own - 1] == item[own - 1] and memcmp(data + at, item, own) == 0:
                return True
            if data[at] & 129 == 0:  # a length below 64
                length = data[at] >> 1
                at += 1
            else:
                length = read_varint(data, size, &at)
            if length < 0 or length >= size - at:
                raise Uncommon
            at += length
            while data[at] & 128:  # the version
                at += 1
                if at >= size:
                    raise Uncommon
            at += 1
            left -= 1
            if left == 0:
                self.forgotten = at
        return False

    cdef tuple remembered(self, int64_t version, int64_t count, bytes handled):
        """The count and the bytes of the remembered ids with this command's, without those that are too many."""
        cdef Bytes item = self.item
        cdef Py_ssize_t start = 0, before, size = item.size
        cdef bytes longer
        count += 1
        if count > self.most:
            start, count = self.forgotten, self.kept
        before = PyBytes_GET_SIZE(handled) - start
        item.add_long(version)
        longer = PyBytes_FromStringAndSize(NULL, before + item.size)
        memcpy(PyBytes_AS_STRING(longer), PyBytes_AS_STRING(handled) + start, before)
        memcpy(PyBytes_AS_STRING(longer) + before, item.data, item.size)
        item.size = size
        return count, longer
