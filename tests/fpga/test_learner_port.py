"""The learning engine behind the pins of a board learns what the golden model learns."""

# amaranth: UnusedElaboratable=no

import re

import numpy as np
import pytest

import fpga.learner_port
from fpga.boards import find_board
from fpga.simulated import simulate_learner
from fpga.top import BoardDesign
from neurogen.flow.accelerator import AcceleratorError
from neurogen.flow.learning import compare
from neurogen.golden.learning import Simulator
from neurogen.spec.learning_bus import Csr, Kind, Region, Status
from tests.learning import SPECS, samples, start


SPEC = SPECS["deep"]


@pytest.fixture(scope="module")
def board():
    return simulate_learner(SPEC)


def test_weights_traces_potentials_spikes_and_counters_through_the_pins(board):
    weights = start(SPEC)
    board.load(weights, seed=77)
    board.model.write(Csr.COUNTER, 0)
    golden = Simulator(SPEC, weights, seed=77)
    result = compare(board, golden, samples(SPEC, 6))
    assert result.differences == 0, result.first
    assert golden.counters.updates and result.cycles == board.counters()["cycles"] > 1000
    assert (board.host.resent, board.host.device_errors, board.host.host_errors) == (0, 0, 0)


def test_another_seed_is_seen_through_the_pins(board):
    weights = start(SPEC)
    board.load(weights, seed=78)
    assert compare(board, Simulator(SPEC, weights, seed=77), samples(SPEC, 2)).differences


def test_a_host_that_reads_at_once_waits_for_events_that_wait(board):
    """Status says busy from the first event on until the last one's step is over."""
    board.load(start(SPEC), seed=5)
    board.model.write(Csr.STATUS, 1 << Status.LOADING)
    for _ in range(5):
        board.send([Kind.BEGIN, *[Kind.STEP] * 40], [0] * 41)
        board.read(Region.POTENTIALS, 0, 2, SPEC.state_bits, SPEC.lanes)
    assert not board.model.read(Csr.STATUS) >> Status.LOADING & 1


def test_an_engine_that_stays_busy_is_an_error(board, monkeypatch):
    monkeypatch.setattr(fpga.learner_port, "_PATIENCE", 0)
    with pytest.raises(AcceleratorError, match="must be idle after its events, and is busy"):
        board.send([Kind.STEP], [0])


@pytest.mark.parametrize("name", ["ulx3s-85f", "ice40-hx8k-b-evn"])
def test_boards_have_its_pins_and_clock(name):
    board = find_board(name)
    plan = board.make_platform().prepare(BoardDesign(SPEC, board), "top", emit_src=False)
    constraints = next(text for file, text in plan.files.items() if file.endswith((".lpf", ".pcf")))
    assert len(re.findall(r"uart_0__[rt]x", constraints)) in (2, 4)


def test_words_of_the_bus_are_signed_or_not(board):
    for value in (1, 2**31, 2**32 - 1):
        board.model.write(Csr.SEED, value)
        assert board.model.read(Csr.SEED) == value
    assert (board.model.read(Csr.RATE_W, 4) == np.array([SPEC.rate_w, SPEC.rate_r, SPEC.rate_p,
                                                         SPEC.rate_q])).all()
