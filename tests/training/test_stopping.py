import os
import signal

import pytest

from geosurge_jax.training.stopping import StoppedError, stop_requests


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_outside_of_a_loop_stops_at_once(number, code):
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=f"{number.name}: nothing new") as stopped:
        with stop_requests():
            os.kill(os.getpid(), number)
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_deferred_signal_waits_for_the_next_point():
    with stop_requests() as stop, stop.deferred():
        assert stop.requested() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested() is signal.SIGTERM


def test_a_second_interrupt_does_not_wait():
    with stop_requests() as stop, stop.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_is_seen_between_items():
    seen = []
    with stop_requests() as stop, stop.deferred(), pytest.raises(StoppedError):
        for item in stop.check(range(5)):
            seen.append(item)
            if item == 2:
                os.kill(os.getpid(), signal.SIGTERM)
    assert seen == [0, 1, 2]
