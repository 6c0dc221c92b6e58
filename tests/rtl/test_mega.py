# amaranth: UnusedElaboratable=no

import re
from dataclasses import replace

import numpy as np
import pytest

from neurogen.flow.accelerator import Accelerator
from neurogen.flow.simulated import SimulatedPort
from neurogen.flow.verify import Runner
from neurogen.flow.verilator import compile_model, to_verilog
from neurogen.golden.network import run as golden
from neurogen.mapping.compile import compile_network
from neurogen.rtl.mega import Mega
from neurogen.spec.conv import Conv
from neurogen.spec.events import END_OF_STEP, POPULATION, Events, control_word, pack_words
from neurogen.spec.mega import ControlBit, Csr, MemorySelect, Op
from neurogen.spec.pool import MaxPool
from tests.mapping.networks import chain
from tests.rtl.mega_programs import SPEC, image, layer, words


EVENTS, SOPS, SPIKES, ROWS, CYCLES, STALLS, STARVED = range(7)
TICK = control_word(END_OF_STEP)


@pytest.fixture(scope="module")
def text():
    return to_verilog(Mega(SPEC), "mega")


@pytest.fixture(scope="module")
def model(text):
    return compile_model(text, "mega", opt="-O0")  # quick to compile; the runs are short


@pytest.fixture
def device(model):
    model.power_on(seed=1)
    return Device(model)


class Device:
    """The model, driven through its bus by hand."""

    def __init__(self, model):
        self.model = model
        self.port = SimulatedPort(model, SPEC)
        self.accelerator = Accelerator(SPEC, self.port)

    def load(self, instructions, weights=None):
        class Part:
            program = words(*instructions)
            external = np.zeros(0, np.uint32)
        Part.weights = np.zeros((0, 9, 4)) if weights is None else weights
        self.accelerator.load(Part)
        self.count = len(instructions)

    def run(self, stream, steps=1, start=1, **chances):
        self.model.write(Csr.STEPS, steps)
        self.model.write(Csr.CONTROL, start)
        return self.model.run(200_000, inputs={"i_events": stream}, outputs={"o_events": None}, until="idle",
                              **chances)["o_events"].tolist()

    def counters(self):
        class Part:
            instructions = range(self.count)
        return self.accelerator.counters(Part)

    def status(self):
        return self.model.read(Csr.STATUS)

    def map(self, height, width):
        """Return the potentials of the first group, ``int[lanes, height, width]``."""
        tiles_x = -(-width // 3)
        rows = self.accelerator.states(range(-(-height // 3) * tiles_x))
        return np.array([[[rows[y // 3 * tiles_x + x // 3, 3 * (y % 3) + x % 3, lane] for x in range(width)]
                          for y in range(height)] for lane in range(SPEC.total_lanes)])


def stream(events):
    return [x | y << 9 | c << 18 for c, y, x in events] + [TICK]


def summed(weights, events, height, width):
    """The potentials after some events, naively."""
    v = np.zeros((SPEC.total_lanes, height + 2, width + 2), np.int64)
    for c, y, x in events:
        v[:, y:y + 3, x:x + 3] += weights[c, ::-1, ::-1].transpose(2, 0, 1)
    return v[:, 1:-1, 1:-1]


def kernels(seed=0, channels=3):
    return np.random.default_rng(seed).integers(-7, 8, (channels, 3, 3, SPEC.total_lanes))


@pytest.mark.parametrize("distance", [1, 2, 3, 4])
def test_events_on_one_word_at_a_distance(device, distance):
    weights = kernels()
    other = [(1, 0, 0), (2, 0, 7), (0, 7, 0)]
    events = [e for _ in range(12) for e in ((0, 4, 4), *other[:distance - 1])]
    device.load(layer(3, 8, 8, sweep=False), image(weights))
    device.run(stream(events))
    assert (device.map(8, 8) == summed(weights, events, 8, 8)).all()
    # Neighbours share words: every distance of the window, too.
    events = [(k % 3, 4, 3 + k % distance) for k in range(40)]
    device.run(stream(events))
    assert (device.map(8, 8) == summed(weights, events, 8, 8)).all()


def test_counters_of_events_and_cycles(device):
    rng = np.random.default_rng(1)
    events = [tuple(int(n) for n in rng.integers(0, (3, 8, 8))) for _ in range(300)]
    device.load(layer(3, 8, 8), image(kernels()))
    device.run(stream(events))
    counted = device.counters()
    inside = sum((2 + (0 < y < 7)) * (2 + (0 < x < 7)) for _, y, x in events)
    assert counted[2, EVENTS] == 300
    assert counted[2, SOPS] == inside * SPEC.total_lanes
    assert 300 <= counted[2, CYCLES] <= 300 + 20  # an event a cycle
    assert counted[2, STALLS] <= 1
    assert counted[3, ROWS] == 9 and counted[3, CYCLES] <= 9 * SPEC.sweep_cycles + SPEC.sweep_cycles + 18
    assert not counted[:, SPIKES].any()
    device.run(stream(events[:10]), start=2)  # go on: they accumulate
    assert device.counters()[2, EVENTS] == 310
    assert (device.counters()[0] == counted[0]).all()  # once
    device.run(stream(events[:10]))
    assert device.counters()[2, EVENTS] == 10


def test_stalls_change_nothing_but_time(device):
    rng = np.random.default_rng(2)
    events = [tuple(int(n) for n in rng.integers(0, (3, 8, 8))) for _ in range(100)]
    device.load(layer(3, 8, 8), image(kernels(), threshold=9))
    sent, counted = [], []
    for chance in (0, 0.6):
        sent.append(device.run(stream(events), idle=chance, backpressure=chance, seed=3))
        counted.append(device.counters())
    assert sent[0] == sent[1] and len(sent[0]) > 20
    assert sent[0][0] == control_word(POPULATION, 5) and sent[0][-1] == TICK
    assert (counted[0][:, :CYCLES] == counted[1][:, :CYCLES]).all()
    assert counted[1][3, SPIKES] == len(sent[0]) - 2
    assert counted[1][2, STALLS] >= counted[1][2, STARVED] > 50 and counted[1][4, STALLS] > 10
    assert counted[0][2, STARVED] <= 1 and not counted[1][4, STARVED]


@pytest.mark.parametrize("bad", [(3, 0, 0), (0, 8, 0), (0, 0, 8), (8191, 511, 511)])
def test_bad_events_are_dropped_and_flagged(device, bad):
    weights, good = kernels(), [(0, 1, 1), (2, 7, 7)]
    device.load(layer(3, 8, 8), image(weights))
    device.run(stream(good))
    assert device.status() == 0
    device.run(stream([good[0], bad, good[1]]))
    assert device.status() == 0b10
    assert (device.map(8, 8) == summed(weights, good, 8, 8)).all()
    device.model.write(Csr.CONTROL, 0b1000)
    assert device.status() == 0


def test_pooling_drops_incomplete_windows_silently(device):
    weights = kernels()
    for max_pool in (0, 1):
        device.load(layer(3, 4, 4, pool_log2=1, max_pool=max_pool, sweep=False), image(weights))
        device.run(stream([(1, 8, 3), (1, 3, 8), (1, 2, 3), (1, 3, 2)]))
        assert device.status() == 0
        assert (device.map(4, 4) == summed(weights, [(1, 1, 1)] * (2 - max_pool), 4, 4)).all()


def test_max_pool_of_single_pixels_flags_only_bad_events(device):
    weights = kernels()
    events = [(c, y, x) for c in range(3) for y in range(4) for x in range(4)] * 2
    # Two operations an event, so that the synapse holds up the filter.
    device.load(layer(3, 4, 4, max_pool=1, sweep=False, ops=2, groups=2), image(weights))
    device.run(stream(events))
    assert device.status() == 0
    device.run(stream([*events, (0, 4, 0)]))
    assert device.status() == 0b10


def test_unknown_operations_stop(device):
    device.load([{"op": Op.INIT, "rows": 8}, {"op": 7}, {"op": Op.EMIT, "tick": 1}])
    assert device.run([]) == []
    assert device.status() == 0b100
    device.load(layer(3, 8, 8), image(kernels()))
    device.run(stream([]))
    assert device.status() == 0


def test_abort_and_run_again(device):
    events = [(k % 3, k % 8, 3 * k % 8) for k in range(200)]
    device.load(layer(3, 8, 8), image(kernels(), threshold=9))
    wanted = device.run(stream(events))
    states, counted = device.map(8, 8), device.counters()
    for cycles in (60, 150, 231, 290):
        # Stop in the middle of it, with events in the buffers and output waiting.
        device.model.write(Csr.CONTROL, 1)
        device.model.run(cycles, inputs={"i_events": stream(events) * 2}, outputs={"o_events": 3})
        assert device.status() == 1
        device.model.write(Csr.CONTROL, 4)
        assert device.status() == 0 and device.model.get("idle")
        assert device.run(stream(events)) == wanted
        assert (device.map(8, 8) == states).all() and (device.counters() == counted).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_depends_on_power_on(model, seed):
    events = [(k % 3, k % 8, 3 * k % 8) for k in range(100)]
    results = []
    for contents in ({"x_initial": "zero"}, {"x_initial": "random", "seed": seed}):
        model.power_on(**contents)
        device = Device(model)
        device.load(layer(3, 8, 8), image(kernels(), threshold=9))
        results.append((device.run(stream(events) * 3, steps=3), device.map(8, 8).tolist(),
                        device.counters().tolist()))
    assert results[0] == results[1]


def test_initial_states_are_kept_without_events(device):
    # INIT with `fill`: no event, no bias, and yet the potentials decay.
    program = layer(3, 2, 2)
    program[0] |= {"fill": 1, "weight_base": 20, "rows": 1}
    program[3] |= {"leaky": 1}
    rows = np.zeros((64, 9, SPEC.total_lanes), np.int64)
    one = image(kernels(), leak=2048)
    rows[:len(one)] = one
    size = SPEC.parameter_rows
    for bank in range(9):
        first = 20 + bank * size  # only bank 0 holds a neuron with a state
        rows[first:first + size] = image(kernels()[:0], threshold=-2048, reset_value=400 * (bank == 0))
        if first + size > len(rows):
            pytest.fail("the weights do not fit")
    device.load(program, rows)
    device.run(stream([]) * 3, steps=3)
    assert device.map(2, 2)[:, 0, 0].tolist() == [50] * SPEC.total_lanes


def test_memory_window(device):
    device.load(layer(3, 8, 8, sweep=False), image(kernels()))
    device.run(stream([(0, 4, 4)]))
    model = device.model
    whole = device.accelerator.states(range(9))
    for cluster, bank, row in ((0, 0, 4), (1, 8, 4), (1, 3, 0)):
        model.write(Csr.MEM_ADDRESS, MemorySelect.STATE << 28 | cluster << 24 | bank << 20 | row)
        found = model.read(Csr.MEM_DATA, 2, step=0).astype(np.int32)
        assert found.tolist() == whole[row, bank, 2 * cluster:2 * cluster + 2].tolist()


def test_networks_with_fractions_equal_golden(device):
    weights = np.random.default_rng(5).integers(-3, 5, (4, 2, 3, 3))
    network = chain((2, 6, 6), Conv(weight=weights, padding=1), MaxPool(size=2), Conv(
        weight=np.random.default_rng(6).integers(-3, 5, (4, 4, 1, 1))), state_bits=12, fraction_bits=3,
        threshold=40, v_lo=-300, v_hi=300)
    plan = compile_network(network, SPEC, observe="all")
    counts = np.random.default_rng(7).random((4, 2, 6, 6)) < 0.3
    events = {"input": Events.from_counts(counts.astype(int))}
    expected = golden(network, events)
    for _ in range(2):  # INIT makes samples independent
        found = Runner(device.accelerator, plan).run(events, every_step=True)
        for name in network.populations:
            assert (found.spikes[name].counts() == expected.spikes[name].counts()).all()
            assert (found.potentials[name] == expected.potentials[name]).all()
        assert len(pack_words(expected.spikes["lif0"])) > 10


def test_verilog_has_the_documented_ports(text):
    top = text[text.index("module mega("):]
    top = top[:top.index("endmodule")]
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE)
    ports = {name: (kind, int(high or 0) + 1) for kind, high, name in found}
    bus = {"cyc": 1, "stb": 1, "we": 1, "dat_w": 32, "dat_r": 32, "ack": 1}
    wanted = {"clk": ("input", 1), "rst": ("input", 1), "idle": ("output", 1), "flush": ("output", 1)}
    for name, mine, other, width in (("bus", "input", "output", 16), ("mem", "output", "input", 30)):
        for member, bits in {**bus, "adr": width}.items():
            wanted[f"{name}__{member}"] = (other if member in ("dat_r", "ack") else mine, bits)
    for name, mine, other in (("i_events", "input", "output"), ("o_events", "output", "input")):
        wanted |= {f"{name}__payload": (mine, 32), f"{name}__valid": (mine, 1), f"{name}__ready": (other, 1)}
    assert ports == wanted
    small = to_verilog(Mega(replace(SPEC, external=False, clusters=1)), "mega")
    assert "mem__" not in small[small.index("module mega("):]


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Mega parameters must be a MegaSpec, not 'mega'$"):
        Mega("mega")


def test_abort_in_the_middle_of_a_load_finishes_the_access(device):
    """A Wishbone cycle ends with its acknowledge; the answer that comes late belongs to nobody."""
    model, rows = device.model, 3
    model.attach_memory(np.arange(200, dtype=np.uint32), latency=300)
    device.load([{"op": Op.LOAD, "rows": rows, "external": 10}, {"op": Op.EMIT, "tick": 1}])
    before = model.memory_transfers
    model.write(Csr.STEPS, 1)
    model.write(Csr.CONTROL, ControlBit.START)
    model.run(100)
    assert (model.get("mem__cyc"), model.get("mem__stb"), model.get("mem__adr")) == (1, 1, 10)
    model.write(Csr.CONTROL, ControlBit.ABORT)
    assert device.status() == 0
    for _ in range(3):
        model.run(10)
        assert (model.get("mem__cyc"), model.get("mem__stb"), model.get("mem__adr")) == (1, 1, 10)
    assert device.run([]) == [TICK]
    assert model.memory_transfers - before == 1 + rows * 9 * SPEC.total_lanes // 4
