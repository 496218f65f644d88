from ..later import torch
from ..sample import INTS, Error, Sample, T

F = ("float32", "float64")


def unfold(x, kernel_size, **kwargs):
    return torch.nn.functional.unfold(torch.tensor(x), kernel_size, **kwargs).numpy()


def fold(x, output_size, kernel_size, **kwargs):
    return torch.nn.functional.fold(torch.tensor(x), output_size, kernel_size, **kwargs).numpy()


def pixel_unshuffle(x, factor):
    *lead, channels, height, width = x.shape
    parts = x.reshape(*lead, channels, height // factor, factor, width // factor, factor)
    n = len(lead)
    return parts.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3).reshape(
        *lead, channels * factor * factor, height // factor, width // factor
    )


IMAGE = T((2, 3, 7, 4))

SAMPLES = [
    Sample(
        "im2col",
        (T((2, 3, 7, 8)), (3, 2)),
        dict(dilation=(1, 2), padding=(1, 0), stride=(2, 1)),
        ref=unfold,
        errors=(Error((T((1, 2, 2, 5)), 3), "ShapeError", 1002, ("larger than the image", "spans 3", "has 2")),),
    ),
    Sample(
        "col2im",
        (T((2, 18, 24)), (7, 8), (3, 2)),
        dict(dilation=(1, 2), padding=(1, 0), stride=(2, 1)),
        ref=fold,
        errors=(Error((T((1, 8, 9)), (5, 5), 2), "ShapeError", 1002, ("(1, 8, 9)", "4 x 4 windows")),),
    ),
    Sample("interpolate", (IMAGE,), dict(size=(5, 9))),
    Sample("interpolate", (IMAGE,), dict(scale_factor=2.0, mode="nearest-exact"), name="exact"),
    Sample(
        "interpolate",
        (T((2, 3, 7)),),
        dict(size=5, mode="linear", align_corners=True),
        name="linear",
        rtol=1e-4,
        atol=1e-5,
    ),
    Sample("interpolate", (IMAGE,), dict(scale_factor=2.0, mode="bilinear"), name="bilinear"),
    Sample("interpolate", (IMAGE,), dict(size=(5, 9), mode="bicubic"), name="bicubic", rtol=1e-4, atol=1e-5),
    Sample("interpolate", (T((1, 2, 3, 4, 2)),), dict(scale_factor=2.0, mode="trilinear"), name="trilinear"),
    Sample(
        "interpolate",
        (IMAGE,),
        dict(size=3, mode="area"),
        name="area",
        errors=(
            Error((IMAGE,), "ParameterError", 1403, ("size or scale_factor",)),
            Error((T((2, 3, 7), dtype="int64"),), "DTypeError", 1101, ("input", "int64"), dict(size=5, mode="linear")),
            Error((T((2, 3)),), "ShapeError", 1001, ("3 to 5", "(2, 3)"), dict(size=3)),
            Error((IMAGE,), "ShapeError", 1001, ("linear", "3 dimensions"), dict(size=3, mode="linear")),
            Error((IMAGE,), "ParameterError", 1403, ("align_corners",), dict(size=3, align_corners=True)),
        ),
    ),
    Sample(
        "pixel_shuffle",
        (T((2, 8, 3, 4)), 2),
        dtypes=F + INTS,
        errors=(Error((T((1, 6, 2, 2)), 2), "ShapeError", 1002, ("6 channels", "4")),),
    ),
    Sample(
        "pixel_unshuffle",
        (T((2, 8, 4, 6)), 2),
        ref=pixel_unshuffle,
        errors=(Error((T((1, 6, 3, 2)), 2), "ShapeError", 1002, ("downscale_factor 2",)),),
    ),
]
