"""The remembered ids of an aggregate, compiled; part of `compiled.pyx`. `remembered` says what they are."""

cdef extern from "string.h":
    const char* memmem(const char* data, size_t size, const char* wanted, size_t length) nogil


# The digits of RFC 1924.
cdef const char* BASE_85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"


cdef class Remembering:
    """Looks for the id that is at hand among remembered ones, and adds it to them."""

    cdef int64_t kept, most
    cdef Bytes item

    def __init__(self, int64_t kept, int64_t most):
        self.kept, self.most, self.item = kept, most, Bytes()

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

    cdef bint is_remembered(self, bytes handled) noexcept:
        """Whether the id seems to be among the remembered ones; it may be part of others, or forgotten."""
        return memmem(PyBytes_AS_STRING(handled), PyBytes_GET_SIZE(handled), self.item.data, self.item.size) != NULL

    cdef tuple remembered(self, int64_t version, int64_t count, bytes handled):
        """The count and the bytes of the remembered ids with this command's, without those that are too many."""
        cdef Bytes item = self.item
        cdef Py_ssize_t start = 0, before, size = item.size
        cdef bytes longer
        count += 1
        if count > self.most:
            start, count = after(handled, count - self.kept), self.kept
        before = PyBytes_GET_SIZE(handled) - start
        item.add_long(version)
        longer = PyBytes_FromStringAndSize(NULL, before + item.size)
        memcpy(PyBytes_AS_STRING(longer), PyBytes_AS_STRING(handled) + start, before)
        memcpy(PyBytes_AS_STRING(longer) + before, item.data, item.size)
        item.size = size
        return count, longer


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
