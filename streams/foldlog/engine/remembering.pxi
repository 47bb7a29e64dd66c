"""The remembered ids of an aggregate, compiled; part of `compiled.pyx`. `remembered` says what they are."""

cdef extern from "string.h":
    const char* memmem(const char* data, size_t size, const char* wanted, size_t length) nogil


# The digits of RFC 1924.
cdef const char* BASE_85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"


cdef class Remembering:
    """Looks for the id that is at hand among remembered ones, and adds it to them."""

    cdef int64_t kept, most
    cdef Py_ssize_t most_added
    cdef Bytes item

    def __init__(self, int64_t kept, int64_t most, Py_ssize_t most_added):
        self.kept, self.most, self.most_added, self.item = kept, most, most_added, Bytes()

    cdef int take(self, const char* id_, Py_ssize_t size) except -1:
        """Takes the id at hand, as `remembered.item_of` writes it."""
        cdef uint64_t digest = <uint64_t>size, word
        cdef Py_ssize_t at = 0, place
        while at < size:
            word = 0
            for place in range(at, min(at + 8, size)):
                word |= <uint64_t><uint8_t>id_[place] << 8 * (place - at)
            digest = mixed(digest ^ word)
            at += 8
        self.item.size = 0
        self.item.add_long(10)
        return add_in_base_85(digest, self.item)

    cdef bint is_remembered(self, tuple known) except -1:
        """Whether the id seems to be among the remembered ones; it may be part of others, or forgotten."""
        return self.is_in(known[1], known[2]) or self.is_in(known[3], 0)

    cdef bint is_in(self, bytes items, Py_ssize_t start) noexcept:
        cdef const char* data = PyBytes_AS_STRING(items) + start
        return memmem(data, PyBytes_GET_SIZE(items) - start, self.item.data, self.item.size) != NULL

    cdef tuple remembered(self, int64_t version, tuple known):
        """The remembered ids with this command's, without those that are too many."""
        cdef Bytes item = self.item
        cdef Py_ssize_t size = item.size
        cdef int64_t count = known[0] + 1
        cdef bytes added
        item.add_long(version)
        added = joined(known[3], 0, PyBytes_GET_SIZE(known[3]), item.data, item.size)
        item.size = size
        if count <= self.most and PyBytes_GET_SIZE(added) <= self.most_added:
            return count, known[1], known[2], added
        return self.whole(count, known[1], known[2], added)

    cdef tuple whole(self, int64_t count, bytes kept, Py_ssize_t start, bytes added):
        """All of them as one, of which nothing is beside."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(kept) - 1 - start
        cdef bytes items = joined(kept, start, size, PyBytes_AS_STRING(added), PyBytes_GET_SIZE(added) + 1)
        if count > self.most:
            items, count = items[after(items, count - self.kept):], self.kept
        return count, items, 0, b""


cdef bytes joined(bytes first, Py_ssize_t start, Py_ssize_t size, const char* more, Py_ssize_t length):
    """A part of some bytes, and more."""
    cdef bytes both = PyBytes_FromStringAndSize(NULL, size + length)
    memcpy(PyBytes_AS_STRING(both), PyBytes_AS_STRING(first) + start, size)
    memcpy(PyBytes_AS_STRING(both) + size, more, length)
    return both


cdef Py_ssize_t after(bytes handled, int64_t items) except -1:
    """Where the first items end."""
    cdef const char* data = PyBytes_AS_STRING(handled)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(handled), at = 0, length
    for _ in range(items):
        length = read_varint(data, size, &at)
        if length < 0 or length > size - at:
            raise Uncommon
        at += length
        read_varint(data, size, &at)
    return at


cdef inline uint64_t mixed(uint64_t number) noexcept:
    number += 0x9E3779B97F4A7C15ULL
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9ULL
    number = (number ^ number >> 27) * 0x94D049BB133111EBULL
    return number ^ number >> 31


cdef int add_in_base_85(uint64_t number, Bytes out) except -1:
    """Adds 8 bytes as ten characters, each four of them as five."""
    cdef uint32_t parts[2]
    cdef Py_ssize_t group, place
    cdef char* at
    parts[0], parts[1] = <uint32_t>(number >> 32), <uint32_t>number
    out.need(10)
    at = out.data + out.size
    for group in range(2):
        for place in range(4, -1, -1):
            at[5 * group + place] = BASE_85[parts[group] % 85]
            parts[group] //= 85
    out.size += 10
    return 0
