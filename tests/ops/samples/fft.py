"""Fourier transforms of lengths with small primes, with a large one and of 1; cut, continued, scaled, along any axes."""

from typing import Any

from ..sample import COMPLEX, FLOATS, Error, Sample, T

X = T((3, 10))
CUBE = T((2, 3, 4))


def too_short(*args: Any, name: str) -> Error:
    return Error(args, "ParameterError", 1403, (f"{name} must be at least 1", "got 0"))


def no_axis(*rest: Any) -> Error:
    return Error((T(()), *rest), "IndexRangeError", 1302, ("input", "an axis to transform"))


def of_one_axis(op: str, dtypes: tuple[str, ...]) -> list[Sample]:
    """The lengths of the results are 10, 6, 1, 12 and 37; 37 is a prime that is convolved."""
    errors = (too_short(X, 0, name="n"), no_axis())
    return [
        Sample(op, (X,), dtypes=dtypes, errors=errors),
        Sample(op, (X, 6, -1, "ortho"), dtypes=dtypes, name="cut"),
        Sample(op, (X, 1), dtypes=dtypes, name="one"),
        Sample(op, (X, 12, 1, "forward"), dtypes=dtypes, name="continued"),
        Sample(op, (X, 5, 0), dtypes=dtypes, name="axis 0"),
        Sample(op, (T((2, 37)), 37), dtypes=dtypes, second=False, name="prime"),
    ]


def of_several_axes(op: str, dtypes: tuple[str, ...]) -> list[Sample]:
    errors = (
        too_short(CUBE, (2, 0), name="s"),
        Error((CUBE, (2, 3), (0, 1, 2)), "ParameterError", 1403, ("2 sizes", "3 axes")),
        no_axis(),
    )
    return [
        Sample(op, (CUBE,), dtypes=dtypes, errors=errors),
        Sample(op, (CUBE, (3, 5), (0, -1), "ortho"), dtypes=dtypes, name="sizes"),
        Sample(op, (CUBE, None, (2, 0), "forward"), dtypes=dtypes, name="axes"),
    ]


BOTH = FLOATS + COMPLEX
SAMPLES = [
    *(s for op in ("fft", "ifft", "irfft", "hfft") for s in of_one_axis(f"fft_{op}", BOTH)),
    *(s for op in ("rfft", "ihfft") for s in of_one_axis(f"fft_{op}", FLOATS)),
    *(
        s
        for op in ("fft2", "ifft2", "irfft2", "hfft2", "fftn", "ifftn", "irfftn", "hfftn")
        for s in of_several_axes(f"fft_{op}", BOTH)
    ),
    *(s for op in ("rfft2", "ihfft2", "rfftn", "ihfftn") for s in of_several_axes(f"fft_{op}", FLOATS)),
    Sample("fft_fftn", (CUBE, (2, 3)), dtypes=BOTH, name="last axes"),
    Sample(
        "fft_fft",
        (T((2, 8), low=-9, high=9),),
        dtypes=("int32", "uint8"),
        grad=False,
        rtol=1e-5,
        atol=1e-5,
        name="integers",
    ),
    *(
        Sample(
            f"fft_{op}",
            (n, 0.5),
            dtypes=("float32",),
            grad=False,
            name=str(n),
            errors=(
                Error((0,), "ParameterError", 1403, ("n must be at least 1", "got 0")),
                Error((4, 0.0), "ParameterError", 1403, ("d must not be 0", "got 0")),
                Error((4,), "DTypeError", 1101, ("int32",), {"dtype": "int32"}),
            ),
        )
        for op in ("fftfreq", "rfftfreq")
        for n in (1, 6, 7)
    ),
    *(
        Sample(f"fft_{op}", (T(shape), *dim), dtypes=(*BOTH, "int64"), name=f"{len(shape)}{dim}")
        for op in ("fftshift", "ifftshift")
        for shape, *dim in (((5, 4),), ((5, 4), 0), ((3, 4, 5), (0, -1)))
    ),
]
