"""Small networks of either library's layers, one definition for both: whole steps of training, and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .data import labels, normal
from .vision import resnet18

Build = Callable[[Any], Callable[[], Any]]


def mlp(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def recurrent(kind: str) -> Callable[[Any], Any]:
    """A sequence's class from the last state of a recurrent layer."""

    def model(lib: Any) -> Any:
        class Net(lib.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.rnn, self.head = getattr(lib.nn, kind)(128, 256, batch_first=True), lib.nn.Linear(256, 10)

            def forward(self, x: Any) -> Any:
                return self.head(self.rnn(x)[0][:, -1])

        return Net()

    return model


def transformer(lib: Any) -> Any:
    nn = lib.nn
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(128 * 256, 10))


def infer(model: Callable[[Any], Any], x_name: str, x_shape: tuple[int, ...]) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        net, x = model(lib).eval(), lib.array(normal(x_name, *x_shape))
        return lib.inference(lambda: net(x))

    return build


def train(model: Callable[[Any], Any], x_name: str, x_shape: tuple[int, ...]) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        net = model(lib)
        x, y = lib.array(normal(x_name, *x_shape)), lib.array(labels("y" + x_name, x_shape[0], 10))
        return lib.training(net, lambda: lib.F.cross_entropy(net(x), y))

    return build


def mlp_inference(lib: Any) -> Callable[[], Any]:
    net, x = mlp(lib), lib.array(normal("xi", 1, 784))
    return lib.inference(lambda: net(x))


def resnet_inference(lib: Any) -> Callable[[], Any]:
    net, x = resnet18(lib, 1000, large=True).eval(), lib.array(normal("xR", 1, 3, 224, 224))
    return lib.inference(lambda: net(x))
