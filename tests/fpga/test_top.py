"""The board top through its two pins equals the golden model; the host's port and what it refuses."""

# amaranth: UnusedElaboratable=no

import re
from dataclasses import replace

import numpy as np
import pytest

from fpga.simulated import simulate_board
from fpga.top import BoardTop
from neurogen.flow.accelerator import Accelerator, AcceleratorError
from neurogen.flow.verify import Runner, verify
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import stream_for
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.mega import ControlBit, Csr, MegaSpec, MemorySelect
from tests.networks import KINDS, random_events, random_network


SPEC = MegaSpec(lanes=2, weight_bits=6, state_bits=20, state_depth=128, weight_depth=512, spike_depth=128,
                program_depth=512, fraction_bits=(0, 3, 6), cuba=True, sweep_cycles=6, max_pool_rows=64)


def fitted(seed):
    """Return a random network with fraction bits that the configuration offers."""
    network = random_network(seed, kinds=KINDS - {"multi_spike"})
    nodes = {name: replace(node, fraction_bits=max(f for f in SPEC.fraction_bits if f <= node.fraction_bits))
             if name in network.populations else node for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


@pytest.fixture(scope="module")
def board():
    return simulate_board(SPEC)


@pytest.mark.parametrize("seed, passes", [(0, 1), (1, 1), (6, 2)])
def test_spikes_potentials_and_counters_through_the_pins(board, seed, passes):
    network = fitted(seed)
    plan = compile_network(network, SPEC, observe="all")
    assert len(plan.passes) == passes  # the second comes over the link while the first's results are kept
    samples = [random_events(network, sample, 4, 0.2) for sample in range(2)]
    for every_step in (True, False):
        report = verify(Runner(board, plan), network, samples, every_step=every_step)
        assert report.passed, report.first
        assert min(report.spikes, report.potentials, report.counters) > 0
    assert (board.port.host.resent, board.port.host.device_errors, board.port.host.host_errors) == (0, 0, 0)


def test_a_wrong_weight_is_seen_through_the_pins(board):
    network = fitted(0)
    nodes = {name: replace(node, weight=0 * node.weight) if isinstance(node, Conv | Dense) else node
             for name, node in network.nodes.items()}  # all of them: some will matter
    broken = compile_network(replace(network, nodes=nodes), SPEC, observe="all")
    samples = [random_events(network, sample, 4, 0.5) for sample in range(3)]
    assert not verify(Runner(board, broken), network, samples, every_step=False).passed


@pytest.mark.parametrize("values", [[-128, 127], [-129, 5], [-32768, 32767], [32768], [-2**31, 2**31 - 1]])
def test_words_keep_their_value_however_few_bytes_travel(board, values):
    for value in values:
        board.port.write(Csr.STEPS, np.array([value], np.int64).astype(np.uint32))
        assert int(board.port.read(Csr.STEPS, 1)[0]) == value % 2**32


def test_a_run_that_ends_early_is_an_error(board):
    network = fitted(0)
    part = compile_network(network, SPEC, observe="all").passes[0]
    board.load(part)
    board.port.write(Csr.STEPS, np.array([1], np.uint32))
    with pytest.raises(AcceleratorError, match=r"^Accelerator must send 3 end-of-step words, not 0$"):
        board.port.exchange(np.zeros(0, np.uint32), 3)


def test_external_memory_is_refused(board):
    with pytest.raises(AcceleratorError, match=r"^Board must have external memory for 5 words of weights"):
        board.port.fill(np.zeros(5, np.uint32))
    message = "Board top must have a configuration without external memory"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BoardTop(replace(SPEC, external=True), 4)
    with pytest.raises(TypeError, match=r"^Board top parameters must be a MegaSpec or a Learner, not 7$"):
        BoardTop(7, 4)


def test_another_configuration_is_noticed(board):
    with pytest.raises(AcceleratorError, match=r"^Device must be an accelerator with configuration word"):
        Accelerator(replace(SPEC, state_bits=16), board.port)


def test_counters_are_read_through_the_window(board):
    board.port.write(Csr.MEM_ADDRESS, np.array([MemorySelect.COUNTER << 28 | 6], np.uint32))
    assert int(board.port.read(Csr.MEM_ADDRESS, 1)[0]) == MemorySelect.COUNTER << 28 | 6


@pytest.mark.parametrize("again", ["load", "connect and load"])
def test_nothing_of_an_interrupted_run_reaches_the_next(board, again):
    """Words wait in the link's queues, in the accelerator's buffers and in the host."""
    network = fitted(0)
    plan = compile_network(network, SPEC, observe="all")
    (part,) = plan.passes
    samples = [random_events(network, sample, 4, 0.3) for sample in range(2)]
    host = board.port.host
    board.load(part)
    board.port.write(Csr.STEPS, np.array([2], np.uint32))
    board.port.write(Csr.CONTROL, np.array([ControlBit.START], np.uint32))
    # More than the two steps of the run: the rest stays in the queues. Nobody fetches the output.
    words = stream_for(part, samples[0])
    ends = np.flatnonzero(words >> 28 == 8)[len(part.sources) - 1::len(part.sources)]
    host.send_events(words[:ends[1] + 61])
    host.receive_events(1)  # the others of the frame stay with the host
    if again != "load":
        host.connect()
    report = verify(Runner(board, plan), network, samples, every_step=False)
    assert report.passed, report.first
