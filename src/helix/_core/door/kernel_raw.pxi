# Kernels of users (helix.kernel.raw): they come to the device as rendered ones do, behind an op record of their own.

cdef extern from *:
    """
    /* Stands where dispatch asks for an op; `owner` is the RawKernel. */
    typedef struct kernel_apart {
        hx_op op;
        hx_op_info info;
        hx_param params[HX_MAX_PARAMS + 1];
        void *owner;
    } kernel_apart;
    static int kernel_ids = 0;
    static kernel_apart *kernel_apart_new(const char *name, int numbers, const char *const *names, void *owner) {
        kernel_apart *a = calloc(1, sizeof *a);
        if (!a) return NULL;
        a->op.name = name;
        a->op.params = a->params;
        a->op.info = &a->info;
        a->info.id = --kernel_ids;
        a->owner = owner;
        for (int i = 0; i < numbers; i++) {
            a->params[i] = (hx_param){.name = names[i], .kind = HX_P_NUMBER};
            a->info.attr_names[i] = names[i];
        }
        a->params[numbers] = (hx_param){.name = "grid", .kind = HX_P_INTS};
        a->info.attr_names[numbers] = "grid";
        a->info.n_attr = numbers + 1;
        return a;
    }
    static void *kernel_apart_owner(const hx_op *op) { return op->info->id < 0 ? ((const kernel_apart *)op)->owner : NULL; }
    """
    ctypedef struct kernel_apart:
        hx_op op
    kernel_apart *kernel_apart_new(const char *name, int numbers, const char *const *names, void *owner)
    void *kernel_apart_owner(const hx_op *op) nogil
    void free(void *)

cdef extern from "templates.h" nogil:
    hx_status hx_run_apart(const hx_op *op, hx_device *device, hx_tensor **in_, int n_in, const hx_attr *attr, int n_attr,
                           hx_tensor **out, int n_out, c_bool *ran)

cdef enum:
    RAW_TENSORS = 16, RAW_NUMBERS = 16


cdef class RawKernel:
    """What the executor keeps of a kernel of a user's: its name, and the function from (call, target) to its plan."""
    cdef kernel_apart *apart
    cdef object plan
    cdef bytes name
    cdef list names

    def __cinit__(self, str name, list numbers, plan):
        cdef const char *pointers[RAW_NUMBERS]
        cdef Py_ssize_t i
        if len(numbers) > RAW_NUMBERS:
            fail(HX_E_VALUE, HX1403_VALUE, name, f"a kernel takes at most {RAW_NUMBERS} numbers, got {len(numbers)}.")
        self.name, self.names, self.plan = name.encode(), [n.encode() for n in numbers], plan
        for i in range(len(numbers)):
            pointers[i] = <bytes>self.names[i]
        self.apart = kernel_apart_new(self.name, len(numbers), pointers, <void *>self)
        if self.apart == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.apart)

    def run(self, tuple read, tuple written, tuple numbers, tuple grid):
        """Launches it on tensors of one device; False where the plan is refused."""
        cdef hx_tensor *inputs[RAW_TENSORS]
        cdef hx_tensor *outputs[RAW_TENSORS]
        cdef hx_attr attributes[RAW_NUMBERS + 1]
        cdef int64_t groups[3]
        cdef int i
        cdef c_bool ran = False
        cdef hx_device *device
        if len(read) > RAW_TENSORS or len(written) > RAW_TENSORS:
            fail(HX_E_VALUE, HX1403_VALUE, self.name.decode(), f"a kernel reads and writes at most {RAW_TENSORS} tensors each.")
        for i in range(len(read)):
            inputs[i] = (<Tensor?>read[i]).t
        for i in range(len(written)):
            outputs[i] = (<Tensor?>written[i]).t
        memset(attributes, 0, sizeof(attributes))
        for i, number in enumerate(numbers):
            attributes[i].kind = HX_A_FLOAT if isinstance(number, float) else HX_A_INT
            if isinstance(number, float):
                attributes[i].v.f = number
            else:
                attributes[i].v.i = <int64_t><uint64_t>(number & 0xffffffffffffffff)
        for i in range(3):
            groups[i] = grid[i]
        i = len(numbers)
        attributes[i].kind, attributes[i].count, attributes[i].v.ints = HX_A_INTS, 3, groups
        device = outputs[0].device
        check(hx_run_apart(&self.apart.op, device, inputs, <int>len(read), attributes, i + 1, outputs, <int>len(written), &ran))
        return ran


def source_kind(Tensor tensor):
    """What the tensor's device compiles; "" where it compiles nothing."""
    return kernel_info(tensor.t.device).source_kind.decode() if tensor.t.device.id else ""
