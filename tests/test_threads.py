"""Python threads and the door: long kernels let others run, and each thread has its own modes and errors."""

import threading

import pytest

import helix
from helix.errors import ShapeError


def test_long_kernels_release_the_lock():
    x = helix.ones(1500, 1500)
    started, done = threading.Event(), []

    def work():
        started.set()
        for _ in range(3):
            x @ x
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    turns = 0
    while not done:
        turns += 1
    thread.join()
    assert turns > 1000


def test_errors_stay_in_their_thread():
    faults = []

    def work(n):
        for _ in range(200):
            try:
                helix.ones(n) + helix.ones(n + 1)
                faults.append("no error")
            except ShapeError as error:
                if f"({n},)" not in str(error):
                    faults.append(str(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_hooks_run_under_the_lock_in_a_long_backward():
    w = helix.ones(400, 400, requires_grad=True)
    seen = []
    y = w
    for _ in range(5):
        y = y @ w
        y.register_hook(lambda g: seen.append(g.shape))
    y.sum().backward()
    assert seen == [(400, 400)] * 5


@pytest.mark.parametrize("count", (1, 2, 5))
def test_results_have_the_same_bits_for_any_number_of_threads(count):
    before = helix.get_num_threads()
    x = helix.rand(300_000, generator=helix.Generator(3))
    helix.set_num_threads(1)
    expected = [x.sum().item(), (x * 3).exp().sum().item()]
    try:
        helix.set_num_threads(count)
        assert [x.sum().item(), (x * 3).exp().sum().item()] == expected
    finally:
        helix.set_num_threads(before)
