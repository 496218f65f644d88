# The Tensor object: a handle on one hx_tensor, which remembers its handle, so that identity is kept.

cdef extern from *:
    """
    /* Objects made by helix never pass through the type's tp_new, so that it can give Tensor.__new__ a meaning. */
    static newfunc door_get_new(PyTypeObject *type) { return type->tp_new; }
    static void door_set_new(PyTypeObject *type, newfunc make) {
        type->tp_new = make;
        type->tp_vectorcall = NULL;
        PyType_Modified(type);
    }
    static PyObject *door_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
        PyErr_Format(PyExc_TypeError, "%s objects are made by helix alone", type->tp_name);
        return NULL;
    }
    static int door_add_to_type(PyTypeObject *type, PyObject *name, PyObject *value) {
        int r = PyDict_SetItem(type->tp_dict, name, value);
        PyType_Modified(type);
        return r;
    }
    """
    ctypedef PyObject *(*door_newfunc "newfunc")(PyTypeObject *, PyObject *, PyObject *) except NULL
    door_newfunc door_get_new(PyTypeObject *t) noexcept
    void door_set_new(PyTypeObject *t, door_newfunc make)
    PyObject *door_refuse_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) except NULL
    int door_add_to_type(PyTypeObject *t, object name, object value) except -1


# A tensor's hooks may hold the tensor. So that such a cycle is found, Tensor is a type of the garbage collector; but an
# object enters its lists only when it gets a hook, and making one costs nothing more.
cdef extern from *:
    """
    static destructor door_plain_dealloc;

    static int door_visit_hook(const hx_hook *hook, void *arg) {
        void **pair = arg;
        if (hook->release != pair[2]) return 0;
        return ((visitproc)pair[0])(hook->ctx, pair[1]);
    }
    static void *door_hook_release;
    static PyTypeObject *door_tensor_type;
    static Py_ssize_t door_fields_offset;
    typedef struct door_tensor_fields { /* as in Tensor */
        hx_tensor *t;
        int tracked;
    } door_tensor_fields;
    static door_tensor_fields *door_fields(PyObject *o) { return (door_tensor_fields *)((char *)o + door_fields_offset); }

    static int door_traverse(PyObject *o, visitproc visit, void *arg) {
        const hx_tensor *t = door_fields(o)->t;
        void *pair[3] = {(void *)visit, arg, door_hook_release};
        return t && t->wrapper == o ? hx_hooks_owned(t, door_visit_hook, pair) : 0; /* once, not for each as_subclass */
    }
    static int door_clear(PyObject *o) {
        hx_tensor *t = door_fields(o)->t;
        if (t) hx_hooks_drop(t);
        return 0;
    }
    static void door_dealloc(PyObject *o) {
        if (Py_TYPE(o) != door_tensor_type || door_fields(o)->tracked) PyObject_GC_UnTrack(o);
        door_plain_dealloc(o);
    }
    static PyObject *door_alloc(PyTypeObject *type, Py_ssize_t n) {
        PyObject *made = PyObject_GC_New(PyObject, type);
        (void)n;
        if (made) memset(made + 1, 0, (size_t)type->tp_basicsize - sizeof *made);
        return made;
    }
    static void door_collect(PyTypeObject *type, void *release) {
        door_hook_release = release;
        door_tensor_type = type;
        door_plain_dealloc = type->tp_dealloc;
        type->tp_flags |= Py_TPFLAGS_HAVE_GC;
        type->tp_traverse = door_traverse;
        type->tp_clear = door_clear;
        type->tp_dealloc = door_dealloc;
        type->tp_alloc = door_alloc;
        type->tp_free = PyObject_GC_Del;
        PyType_Modified(type);
    }
    static void door_track(PyObject *o) {
        door_fields(o)->tracked = 1;
        if (!PyObject_GC_IsTracked(o)) PyObject_GC_Track(o);
    }
    """
    Py_ssize_t door_fields_offset
    void door_collect(PyTypeObject *t, void *release)
    void door_track(object o)


@cython.freelist(512)
cdef class Tensor:
    """A typed, strided view of memory on one device, and its place in the autograd graph.

    Made by `helix.tensor`, `helix.zeros` and so on. `Tensor(data)` is `helix.tensor(data)`.
    """
    cdef hx_tensor *t
    cdef bint tracked       # by the garbage collector
    cdef object __weakref__

    __array_priority__ = 1000

    def __dealloc__(self):
        if self.t != NULL:
            if self.t.wrapper == <void *>self:
                self.t.wrapper = NULL
            hx_tensor_release(self.t)

    @staticmethod
    def _make_subclass(cls, data, requires_grad=False):
        """An object of a subclass over the memory of `data`, without its history."""
        cdef hx_tensor *alias = NULL
        if not (isinstance(cls, type) and issubclass(cls, Tensor)):
            raise TypeError("cls must be a subclass of helix.Tensor")
        cdef Tensor source = data if isinstance(data, Tensor) else tensor(data)
        check(hx_tensor_alias(source.t, &alias))
        cdef Tensor made = wrap_as(cls, alias)
        if requires_grad:
            set_requires_grad(made, True)
        return made

    def as_subclass(self, cls):
        """This very tensor as an object of a subclass: same memory, history, `grad` and version."""
        if not (isinstance(cls, type) and issubclass(cls, Tensor)):
            raise TypeError("cls must be a subclass of helix.Tensor")
        return self if type(self) is cls else shared_as(cls, self)

    # ---- geometry ----

    @property
    def shape(self):
        """Sizes of the dimensions, as a tuple."""
        return ints_tuple(self.t.shape, self.t.ndim)

    @property
    def ndim(self):
        """Number of dimensions."""
        return self.t.ndim

    @property
    def dtype(self):
        """The data type, e.g. helix.float32."""
        return DTYPES[self.t.dtype]

    @property
    def device(self):
        """The device that holds the values."""
        return device_object(self.t.device)

    @property
    def strides(self):
        """Steps between neighbours of each dimension, in elements."""
        return ints_tuple(self.t.strides, self.t.ndim)

    def stride(self, dim=None):
        """The step of dimension `dim` in elements, or all of them as a tuple."""
        cdef int axis = 0
        if dim is None:
            return ints_tuple(self.t.strides, self.t.ndim)
        check_axis(self, "stride", dim, &axis)
        return self.t.strides[axis]

    def size(self, dim=None):
        """The shape, or the size of dimension `dim`."""
        cdef int axis = 0
        if dim is None:
            return ints_tuple(self.t.shape, self.t.ndim)
        check_axis(self, "size", dim, &axis)
        return self.t.shape[axis]

    def dim(self):
        """Number of dimensions."""
        return self.t.ndim

    def numel(self):
        """Number of elements."""
        return self.t.numel

    def nelement(self):
        """Number of elements."""
        return self.t.numel

    def element_size(self):
        """Bytes of one element."""
        return hx_dtype_size(<hx_dtype>self.t.dtype)

    @property
    def itemsize(self):
        """Bytes of one element."""
        return hx_dtype_size(<hx_dtype>self.t.dtype)

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.t.numel * <int64_t>hx_dtype_size(<hx_dtype>self.t.dtype)

    def data_ptr(self):
        """Address of the first element in host memory; 0 where the host cannot reach it."""
        return <size_t>self.t.data

    def storage_offset(self):
        """Position of the first element in its storage, in elements."""
        return self.t.offset

    def is_contiguous(self):
        """True when the elements lie row by row without gaps."""
        return bool(hx_contiguous(self.t))

    def is_floating_point(self):
        """True for float16, bfloat16, float32 and float64."""
        return bool(hx_is_floating(<hx_dtype>self.t.dtype))

    def is_complex(self):
        """True for complex64 and complex128."""
        return bool(hx_is_complex(<hx_dtype>self.t.dtype))

    def is_inference(self):
        """True for tensors made under inference_mode."""
        return bool(self.t.flags & HX_T_INFERENCE)

    @property
    def T(self):
        """The view with its dimensions in reverse order."""
        return transposed(self, True)

    @property
    def mT(self):
        """The view with its last two dimensions exchanged."""
        return transposed(self, False)

    @property
    def H(self):
        """Conjugate transpose of a matrix."""
        cdef Tensor flipped = transposed(self, False)
        return OPS["conj"](flipped) if hx_is_complex(<hx_dtype>self.t.dtype) else flipped

    @property
    def real(self):
        """The real part: a view of a complex tensor, the tensor itself otherwise."""
        return OPS["real"](self) if hx_is_complex(<hx_dtype>self.t.dtype) else self

    @property
    def imag(self):
        """The imaginary part of a complex tensor, as a view."""
        return OPS["imag"](self)

    # ---- autograd ----

    @property
    def requires_grad(self):
        """True when gradients flow through this tensor."""
        return bool(hx_requires_grad(self.t))

    @requires_grad.setter
    def requires_grad(self, value):
        set_requires_grad(self, value)

    def requires_grad_(self, requires_grad=True):
        """Sets `requires_grad` in place and returns the tensor."""
        set_requires_grad(self, requires_grad)
        return self

    @property
    def is_leaf(self):
        """True for tensors that no recorded op made."""
        refresh_history(self)
        return self.t.history == NULL

    @property
    def grad(self):
        """The gradient that backward passes have accumulated here, or None."""
        if hx_tracing():
            watch_gradient(self, False)
        return None if self.t.gradient == NULL else wrap(hx_tensor_retain(self.t.gradient))

    @grad.setter
    def grad(self, value):
        if hx_tracing():
            watch_gradient(self, True)
        set_grad(self, value)

    @grad.deleter
    def grad(self):
        self.grad = None

    @property
    def grad_fn(self):
        """The recorded op that made this tensor, or None for a leaf."""
        refresh_history(self)
        return None if self.t.history == NULL else node_object(self.t.history)

    @property
    def output_nr(self):
        """Which output of `grad_fn` this tensor is."""
        return self.t.output_number

    @property
    def _version(self):
        """How many times the memory was written in place."""
        return 0 if self.t.storage == NULL else self.t.storage.version

    @property
    def _base(self):
        """The tensor this one is a view of, or None."""
        return None if self.t.base == NULL else wrap(hx_tensor_retain(self.t.base))

    @property
    def data(self):
        """The same memory without history."""
        return self.detach()

    def detach(self):
        """The same memory as a tensor that autograd does not follow."""
        cdef hx_tensor *alias = NULL
        if hx_tracing():
            return traced_detach(self)
        check(hx_tensor_alias(self.t, &alias))
        return wrap(alias)

    def detach_(self):
        """Cuts this tensor off its history, in place."""
        if self.t.base != NULL and hx_requires_grad(self.t):
            fail(HX_E_GRADIENT, HX1503_NO_GRAD, "detach_", "a view cannot be detached in place; use detach().")
        drop_history(self)
        self.t.flags &= <uint8_t>~HX_T_REQUIRES_GRAD
        return self

    @property
    def retains_grad(self):
        """True for a tensor with history that keeps its gradient."""
        return bool(self.t.flags & HX_T_RETAIN_GRAD)

    def retain_grad(self):
        """Keeps the gradient of this tensor with history in `grad` at the next backward."""
        check(hx_retain_grad(self.t))

    def register_hook(self, hook):
        """Calls `hook(grad)` when the gradient of this tensor is known; a tensor it returns replaces the gradient.

        Returns a handle with `remove()`.
        """
        return add_hook(self, hook)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Computes gradients of this tensor and adds them to the `grad` of the leaves it depends on.

        `gradient` is the gradient of some number with respect to this tensor, needed unless it has one element.
        `retain_graph` keeps what the graph saved, for another pass. `create_graph` makes the gradients
        differentiable. `inputs` limits the leaves that get a gradient.
        """
        run_backward([self], [gradient], create_graph if retain_graph is None else retain_graph, create_graph, inputs)

    # ---- values ----

    def item(self):
        """The only element, as a Python number."""
        return item_of(self)

    def tolist(self):
        """Nested lists of Python numbers; a number for zero dimensions."""
        return to_list(self)

    def __bool__(self):
        cdef hx_scalar s
        if self.t.numel != 1:
            fail(HX_E_VALUE, HX1403_VALUE, "bool", "only a tensor of one element is true or false; this one has shape "
                 f"{self.shape}. Use .any() or .all().")
        check(hx_tensor_item(self.t, &s))
        if s.kind == HX_KIND_FLOAT:
            return s.v.f != 0
        if s.kind == HX_KIND_COMPLEX:
            return s.v.c[0] != 0 or s.v.c[1] != 0
        return s.v.i != 0

    def __int__(self):
        return int(item_of(self))

    def __float__(self):
        return float(item_of(self))

    def __complex__(self):
        return complex(item_of(self))

    def __index__(self):
        if not hx_is_integral(<hx_dtype>self.t.dtype):
            fail(HX_E_TYPE, HX1103_ARGUMENT, "index", f"only an integer tensor is an index, got {self.dtype.name}.")
        return int(item_of(self))

    def __len__(self):
        if self.t.ndim == 0:
            raise build_error(HX_E_TYPE, HX1103_ARGUMENT, "len", "a tensor without dimensions has no length.")
        return self.t.shape[0]

    def __iter__(self):
        cdef Py_ssize_t i
        if self.t.ndim == 0:
            fail(HX_E_TYPE, HX1103_ARGUMENT, "iter", "a tensor without dimensions cannot be iterated over.")
        return iter([get_item(self, i) for i in range(self.t.shape[0])])

    def __contains__(self, element):
        return bool(OPS["any"](self == element))

    def __hash__(self):
        return <Py_hash_t>(<size_t><void *>self >> 4)

    def __getitem__(self, key):
        return get_item(self, key)

    def __setitem__(self, key, value):
        set_item(self, key, value)

    def __repr__(self):
        from helix.printing import tensor_text
        return tensor_text(self)

    def __str__(self):
        from helix.printing import tensor_text
        return tensor_text(self)

    def __format__(self, spec):
        if spec and self.t.numel == 1 and self.t.ndim == 0:
            return format(item_of(self), spec)
        return object.__format__(self, spec) if spec else str(self)

    # ---- copies and exchange ----

    def __copy__(self):
        cdef hx_tensor *alias = NULL
        check(hx_tensor_alias(self.t, &alias))
        cdef Tensor made = wrap_as(type(self), alias)
        if self.t.history == NULL and self.t.flags & HX_T_REQUIRES_GRAD:
            set_requires_grad(made, True)
        return made

    def __deepcopy__(self, memo):
        return deep_copy(self, memo)

    def __reduce_ex__(self, protocol):
        return reduce_tensor(self, protocol)

    def numpy(self, *, force=False):
        """A NumPy array over the same memory. `force` detaches and copies to the host where needed."""
        return to_numpy(self, force)

    def __array__(self, dtype=None, copy=None):
        array = to_numpy(self, False)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a {array.dtype} array becomes {dtype} only by a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return export_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self):
        return dlpack_device(self)

    def __getbuffer__(self, Py_buffer *view, int flags):
        fill_buffer(self, view, flags)

    def __releasebuffer__(self, Py_buffer *view):
        free_buffer(view)

    # ---- operators: straight to dispatch (binary.pxi) ----

    def __add__(a, b):
        return binary(op_add, a, b)

    def __sub__(a, b):
        return binary(op_sub, a, b)

    def __mul__(a, b):
        return binary(op_mul, a, b)

    def __truediv__(a, b):
        return binary(op_div, a, b)

    def __floordiv__(a, b):
        return binary(op_floor_divide, a, b)

    def __mod__(a, b):
        return binary(op_remainder, a, b)

    def __divmod__(a, b):
        quotient = binary(op_floor_divide, a, b)
        return quotient if quotient is NotImplemented else (quotient, binary(op_remainder, a, b))

    def __pow__(a, b, modulo):
        if modulo is not None:
            return NotImplemented
        return binary(op_pow, a, b)

    def __matmul__(a, b):
        return binary(op_matmul, a, b)

    def __and__(a, b):
        return binary(op_bitwise_and, a, b)

    def __or__(a, b):
        return binary(op_bitwise_or, a, b)

    def __xor__(a, b):
        return binary(op_bitwise_xor, a, b)

    def __lshift__(a, b):
        return binary(op_bitwise_left_shift, a, b)

    def __rshift__(a, b):
        return binary(op_bitwise_right_shift, a, b)

    def __iadd__(self, b):
        return binary_inplace(op_add, self, b)

    def __isub__(self, b):
        return binary_inplace(op_sub, self, b)

    def __imul__(self, b):
        return binary_inplace(op_mul, self, b)

    def __itruediv__(self, b):
        return binary_inplace(op_div, self, b)

    def __ifloordiv__(self, b):
        return binary_inplace(op_floor_divide, self, b)

    def __imod__(self, b):
        return binary_inplace(op_remainder, self, b)

    def __ipow__(self, b, modulo):
        return binary_inplace(op_pow, self, b)

    def __iand__(self, b):
        return binary_inplace(op_bitwise_and, self, b)

    def __ior__(self, b):
        return binary_inplace(op_bitwise_or, self, b)

    def __ixor__(self, b):
        return binary_inplace(op_bitwise_xor, self, b)

    def __ilshift__(self, b):
        return binary_inplace(op_bitwise_left_shift, self, b)

    def __irshift__(self, b):
        return binary_inplace(op_bitwise_right_shift, self, b)

    def __neg__(self):
        return unary(op_neg, self)

    def __pos__(self):
        return unary(op_positive, self)

    def __abs__(self):
        return unary(op_abs, self)

    def __invert__(self):
        return unary(op_bitwise_not, self)

    def __richcmp__(self, other, int op):
        return compare(self, other, op)
