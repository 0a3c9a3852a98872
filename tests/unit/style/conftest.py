"""Shared by the tests of style transfer."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts():
    """Let SIGINT raise KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
