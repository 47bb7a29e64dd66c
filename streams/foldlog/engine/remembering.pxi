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
        cdef Bytes item = self.item
        cdef uint8_t number[16]
        item.size = 0
        if size == 32 and read_digits(id_, 16, number):
            item.add(b"\x2a#", 2)
        elif size == 36 and id_[8] == id_[13] == id_[18] == id_[23] == c"-" and read_digits(id_, 4, number) \
                and read_digits(id_ + 9, 2, number + 4) and read_digits(id_ + 14, 2, number + 6) \
                and read_digits(id_ + 19, 2, number + 8) and read_digits(id_ + 24, 6, number + 10):
            item.add(b"\x2a~", 2)
        elif size > 0 and (id_[0] == c"#" or id_[0] == c"~" or id_[0] == c"="):
            item.add_long(size + 1)
            item.add(b"=", 1)
            return item.add(id_, size)
        else:
            return item.add_sized(id_, size)
        return add_in_base_85(number, item)

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


cdef bint read_digits(const char* text, Py_ssize_t count, uint8_t* number) noexcept:
    """Reads so many bytes from twice as many hexadecimal digits; False where one is none, or a capital."""
    cdef Py_ssize_t place
    cdef char digit
    cdef uint8_t value
    for place in range(2 * count):
        digit = text[place]
        if c"0" <= digit <= c"9":
            value = <uint8_t>(digit - c"0")
        elif c"a" <= digit <= c"f":
            value = <uint8_t>(digit - c"a" + 10)
        else:
            return False
        number[place >> 1] = value if place & 1 == 0 else <uint8_t>(number[place >> 1] << 4 | value)
    return True


cdef int add_in_base_85(const uint8_t* number, Bytes out) except -1:
    """Adds 16 bytes as twenty characters, each four of them as five."""
    cdef uint32_t part
    cdef Py_ssize_t group, place
    cdef char* at
    out.need(20)
    at = out.data + out.size
    for group in range(4):
        part = 0
        for place in range(4):
            part = part << 8 | number[4 * group + place]
        for place in range(4, -1, -1):
            at[5 * group + place] = BASE_85[part % 85]
            part //= 85
    out.size += 20
    return 0
