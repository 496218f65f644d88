"""The default device, and gradients through copies between devices, with the simulated device (which has no kernels)."""

import os
import subprocess
import sys

import numpy as np
import pytest

import helix
from helix import _core
from helix.autograd import grad


@pytest.fixture
def sim():
    helix.set_default_device("sim")
    yield
    helix.set_default_device(None)


def test_the_cpu_is_the_default():
    assert str(helix.get_default_device()) == "cpu" and str(helix.tensor([1.0]).device) == "cpu"


def test_what_numbers_and_arrays_become_is_on_the_default_device(sim):
    assert str(helix.get_default_device()) == "sim:0"
    array = np.arange(3.0)
    for data in ([1.0], 2.5, array, array[0]):
        for make in (helix.tensor, helix.as_tensor, helix.asarray):
            assert str(make(data).device) == "sim:0" and make(data).tolist() == np.asarray(data).tolist()
    assert str(helix.from_numpy(array).device) == "cpu" and str(helix.asarray(array, copy=False).device) == "cpu"
    assert helix.tensor([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_ops_that_make_tensors_are_called_there(sim):
    """The simulated device need not have the kernel, but it must have been asked."""
    try:
        place = str(helix.arange(3).device)
    except helix.errors.HelixError as error:
        place = str(error)
    assert "sim:0" in place


CREATIONS = {
    **dict.fromkeys(("empty", "zeros", "ones", "rand", "randn"), (2, 3)),
    **dict.fromkeys(("linspace", "logspace"), (0, 1, 3)),
    **dict.fromkeys(("tril_indices", "triu_indices"), (2, 3)),
    "full": ((2,), 1.5),
    "arange": (3,),
    "eye": (2,),
    "randint": (5, (2,)),
    "randperm": (4,),
    **dict.fromkeys(("fft_fftfreq", "fft_rfftfreq"), (5,)),
}


def creation(name):
    return getattr(helix.fft, name.removeprefix("fft_")) if name.startswith("fft_") else getattr(helix, name)


def test_the_list_of_creations_is_whole():
    assert {record["name"] for record in _core.ops() if "creates" in record["flags"]} == set(CREATIONS)


@pytest.mark.filterwarnings("ignore::helix.errors.FallbackWarning")
@pytest.mark.parametrize("name", CREATIONS)
def test_creations_and_their_composites_put_tensors_there(sim, name):
    made, there = creation(name)(*CREATIONS[name]), creation(name)(*CREATIONS[name], device="cpu")
    assert (str(made.device), str(there.device)) == ("sim:0", "cpu")
    assert str(helix.zeros_like(there).device) == "cpu" and str(there.new_ones(2).device) == "cpu"


def test_layers_on_the_cpu_make_their_tensors_beside_what_they_get(sim):
    x = helix.nn.init.eye_(helix.empty(2, 2, device="cpu"))
    assert x.tolist() == [[1, 0], [0, 1]]
    scores = helix.full((4, 1, 3), -1.0, device="cpu")
    loss = helix.nn.CTCLoss()(scores, helix.ones(1, 2, dtype=helix.int64, device="cpu"), [4], [2])
    assert str(loss.device) == "cpu"


def test_a_device_that_is_named_and_what_is_a_tensor_stay_where_they_are(sim):
    x = helix.empty(3, device="cpu")
    assert str(x.device) == "cpu" and str(helix.tensor(x).device) == "cpu" and str((x + 1).device) == "cpu"
    assert str(helix.empty_like(x).device) == "cpu"


def test_an_unknown_device_changes_nothing():
    with pytest.raises(helix.errors.HelixError, match="nowhere"):
        helix.set_default_device("nowhere")
    assert str(helix.get_default_device()) == "cpu"


@pytest.mark.parametrize(("name", "device"), [("sim:1", "sim:1"), ("cpu", "cpu"), ("", "cpu")])
def test_the_environment_names_the_default(name, device):
    program = "import helix; print(helix.tensor([1.0]).device, helix.get_default_device())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HELIX_DEVICE": name},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [device, device]


def test_gradients_go_back_over_copies():
    x = helix.tensor([1.0, 2.0, 3.0], requires_grad=True)
    there = (x * x).to("sim")
    assert there.requires_grad and str(there.device) == "sim:0"
    back = there.to("sim:1").to("cpu")
    first = grad((back * back).sum(), (x,), create_graph=True)[0]
    assert first.tolist() == [4.0, 32.0, 108.0] and str(first.device) == "cpu"
    assert grad(first.sum(), (x,))[0].tolist() == [12.0, 48.0, 108.0]


def test_a_leaf_on_another_device_gets_its_gradient_there():
    x = helix.tensor([1.0, 2.0]).to("sim").requires_grad_()
    (x.to("cpu") * 3).sum().backward()
    assert str(x.grad.device) == "sim:0" and x.grad.tolist() == [3.0, 3.0]


def test_without_recording_a_copy_is_no_step():
    x = helix.tensor([1.0], requires_grad=True)
    with helix.no_grad():
        assert not x.to("sim").requires_grad
    assert x.to("cpu") is x
