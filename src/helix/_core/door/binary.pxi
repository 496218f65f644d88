# What the number slots call.

cdef const hx_op *op_add
cdef const hx_op *op_sub
cdef const hx_op *op_mul
cdef const hx_op *op_div
cdef const hx_op *op_floor_divide
cdef const hx_op *op_remainder
cdef const hx_op *op_pow
cdef const hx_op *op_matmul
cdef const hx_op *op_bitwise_and
cdef const hx_op *op_bitwise_or
cdef const hx_op *op_bitwise_xor
cdef const hx_op *op_bitwise_left_shift
cdef const hx_op *op_bitwise_right_shift
cdef const hx_op *op_neg
cdef const hx_op *op_positive
cdef const hx_op *op_abs
cdef const hx_op *op_bitwise_not
cdef const hx_op *compare_ops[6]


cdef void find_operators() noexcept:
    global op_add, op_sub, op_mul, op_div, op_floor_divide, op_remainder, op_pow, op_matmul, op_bitwise_and
    global op_bitwise_or, op_bitwise_xor, op_bitwise_left_shift, op_bitwise_right_shift, op_neg, op_positive, op_abs
    global op_bitwise_not
    op_add = hx_op_find("add")
    op_sub = hx_op_find("sub")
    op_mul = hx_op_find("mul")
    op_div = hx_op_find("div")
    op_floor_divide = hx_op_find("floor_divide")
    op_remainder = hx_op_find("remainder")
    op_pow = hx_op_find("pow")
    op_matmul = hx_op_find("matmul")
    op_bitwise_and = hx_op_find("bitwise_and")
    op_bitwise_or = hx_op_find("bitwise_or")
    op_bitwise_xor = hx_op_find("bitwise_xor")
    op_bitwise_left_shift = hx_op_find("bitwise_left_shift")
    op_bitwise_right_shift = hx_op_find("bitwise_right_shift")
    op_neg = hx_op_find("neg")
    op_positive = hx_op_find("positive")
    op_abs = hx_op_find("abs")
    op_bitwise_not = hx_op_find("bitwise_not")
    compare_ops[Py_LT] = hx_op_find("lt")
    compare_ops[Py_LE] = hx_op_find("le")
    compare_ops[Py_EQ] = hx_op_find("eq")
    compare_ops[Py_NE] = hx_op_find("ne")
    compare_ops[Py_GT] = hx_op_find("gt")
    compare_ops[Py_GE] = hx_op_find("ge")


cdef int missing_operator() except -1:
    fail(HX_E_UNSUPPORTED, 1701, "", "this build of helix has no op for the operator.")


cdef int operand(object value, hx_tensor *other, hx_tensor **slot, bint *owned) except -1:
    """Fills one operand; 0 when the other side should be asked instead. `other` is the operand beside a number."""
    if isinstance(value, Tensor):
        slot[0] = (<Tensor>value).t
        return 1
    slot[0] = cached_number(value, other)
    if slot[0] == NULL:
        slot[0] = number_tensor(value)
    if slot[0] != NULL:
        owned[0] = True
        return 1
    if hasattr(value, "__array__"):
        refuse_foreign(value, "operator", "the operand")
    return 0


# Numbers beside floating tensors are kept as tensors of that dtype, so that `x * 2` neither allocates nor casts.

cdef enum:
    NUMBER_SLOTS = 128

cdef struct NumberSlot:
    hx_tensor *tensor
    double value

cdef NumberSlot number_cache[NUMBER_SLOTS]


cdef extern from *:
    """
    static inline uint64_t door_bits(double v) { union { double d; uint64_t u; } b = {v}; return b.u; }
    static inline unsigned door_number_slot(double v, int dtype, unsigned slots) {
        return (unsigned)((door_bits(v) * 0x9E3779B97F4A7C15u >> 32) + (unsigned)dtype) % slots;
    }
    """
    uint64_t door_bits(double value) noexcept
    unsigned door_number_slot(double value, int dtype, unsigned slots) noexcept


cdef hx_tensor *cached_number(object value, hx_tensor *beside) except? NULL:
    """A number tensor of the dtype of `beside`, owned by the caller; NULL where that is not what promotion gives."""
    cdef double d
    cdef NumberSlot *slot
    cdef hx_tensor *made = NULL
    cdef int64_t none = 0
    if beside == NULL or not hx_is_floating(<hx_dtype>beside.dtype):
        return NULL
    if PyFloat_CheckExact(value):
        d = PyFloat_AS_DOUBLE(value)
    elif PyLong_CheckExact(value):
        d = PyLong_AsDouble(value)
    else:
        return NULL
    slot = &number_cache[door_number_slot(d, beside.dtype, NUMBER_SLOTS)]
    if slot.tensor != NULL and door_bits(slot.value) == door_bits(d) and slot.tensor.dtype == beside.dtype:
        return hx_tensor_retain(slot.tensor)
    check(hx_tensor_empty(hx_cpu(), <hx_dtype>beside.dtype, &none, 0, &made))
    store_float(d, <hx_dtype>beside.dtype, <char *>made.data)
    made.flags = HX_T_CONTIGUOUS | HX_T_NUMBER
    hx_tensor_release(slot.tensor)
    slot.tensor = made
    slot.value = d
    return hx_tensor_retain(made)


cdef void drop_numbers() noexcept:
    cdef int i
    for i in range(NUMBER_SLOTS):
        hx_tensor_release(number_cache[i].tensor)
        number_cache[i].tensor = NULL


cdef object finish_pair(const hx_op *op, hx_tensor **pair, bint inplace):
    cdef hx_call c
    hx_call_init(&c, op)
    c.in_ = pair
    c.n_in = 2
    c.inplace = inplace
    if hx_dispatch(&c) != HX_OK:
        raise_pending()
    return wrap(c.out[0])


cdef object binary(const hx_op *op, object a, object b):
    cdef hx_tensor *pair[2]
    if op == NULL:
        missing_operator()
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        pair[0] = (<Tensor>a).t
        pair[1] = (<Tensor>b).t
        return finish_pair(op, pair, False)
    return mixed(op, a, b, False)


cdef object binary_inplace(const hx_op *op, Tensor a, object b):
    cdef hx_tensor *pair[2]
    if op == NULL:
        missing_operator()
    if isinstance(b, Tensor):
        pair[0] = a.t
        pair[1] = (<Tensor>b).t
        return finish_pair(op, pair, True)
    return mixed(op, a, b, True)


cdef object mixed(const hx_op *op, object a, object b, bint inplace):
    """A tensor and a number, in either order."""
    cdef hx_tensor *pair[2]
    cdef bint own_a = False, own_b = False
    if not operand(a, (<Tensor>b).t if isinstance(b, Tensor) else NULL, &pair[0], &own_a):
        return NotImplemented
    try:
        if not operand(b, (<Tensor>a).t if isinstance(a, Tensor) else NULL, &pair[1], &own_b):
            return NotImplemented
        return finish_pair(op, pair, inplace)
    finally:
        if own_a:
            hx_tensor_release(pair[0])
        if own_b:
            hx_tensor_release(pair[1])


cdef object unary(const hx_op *op, Tensor x):
    cdef hx_call c
    if op == NULL:
        missing_operator()
    hx_call_init(&c, op)
    c.in_ = &x.t
    c.n_in = 1
    check(hx_dispatch(&c))
    return wrap(c.out[0])


cdef object compare(object a, object b, int which):
    if b is None or isinstance(b, str):
        return NotImplemented
    return binary(compare_ops[which], a, b)
