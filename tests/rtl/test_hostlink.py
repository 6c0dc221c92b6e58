# amaranth: UnusedElaboratable=no

import json
import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from neurogen.rtl.frames import FrameReceiver, FrameSender
from neurogen.rtl.hostlink import HostLink, LinkCore
from neurogen.rtl.uart import UartRx, UartTx
from neurogen.spec.hostlink import (
    END,
    ESCAPE,
    VERSION,
    Command,
    Deframer,
    HostLinkSpec,
    Reply,
    Request,
    Status,
    crc16,
    frame,
)
from tests.rtl.hostlink_bench import ByteDevice


SPEC = HostLinkSpec(divisor=4, slot_log2=6, in_words=8, out_words=8, timeout_log2=6)


class Channel:
    """Raw frames to and from a simulated device."""

    def __init__(self, spec=SPEC, **options):
        self.device = ByteDevice(LinkCore(spec), byte_cycles=3, **options)
        self.deframer = Deframer()

    def send(self, raw, patience=2):
        """Send bytes; return the replies that come before a silence of ``patience`` times 100 cycles."""
        self.device.write(raw)
        received, silent = b"", 0
        while silent < patience:
            more = self.device.read(100e-6)
            silent = 0 if more or self.device.inwards else silent + 1
            received += more
        return [Reply.decode(body) for body in self.deframer.feed(received)]

    def ask(self, *requests, patience=2):
        return self.send(b"".join(frame(request.encode()) for request in requests), patience)


def session(**options):
    channel = Channel(**options)
    (hello,) = channel.ask(Request(Command.HELLO, 15))
    assert hello == Reply(Status.OK, 15, done=VERSION << 4 | SPEC.slot_log2, free=SPEC.in_words)
    return channel


def test_crc_is_the_catalogued_one():
    assert crc16(b"123456789") == 0x29B1
    assert frame(bytes([END, 1, ESCAPE]))[:6] == bytes([END, ESCAPE, END ^ 0x20, 1, ESCAPE, ESCAPE ^ 0x20])


@pytest.mark.parametrize("size_log2, data, words", [
    (0, bytes([1, 0x80, 0x7E]), [1, 0xFFFFFF80, 0x7E]),
    (1, bytes([1, 0x80, 0xFF, 0x7F]), [0xFFFF8001, 0x7FFF]),
    (2, bytes([1, 2, 3, 0x84]), [0x84030201]),
])
def test_elements_are_sign_extended(size_log2, data, words):
    channel = session()
    (reply,) = channel.ask(Request(Command.WRITE, 0, size_log2, True, 0x1234, data=data))
    assert reply == Reply(Status.OK, 0, done=len(words), free=SPEC.in_words)
    assert channel.device.writes == [(0x1234 + i, word) for i, word in enumerate(words)]
    (reply,) = channel.ask(Request(Command.READ, 1, size_log2, True, 0x1234, len(words)))
    assert reply.data == data


def test_without_increment_all_go_to_one_address():
    channel = session()
    channel.ask(Request(Command.WRITE, 0, 2, False, 7, data=bytes(range(8))))
    assert channel.device.writes == [(7, 0x03020100), (7, 0x07060504)]


def test_a_repeated_request_is_answered_but_not_executed():
    channel = session()
    first = Request(Command.WRITE, 0, 2, False, 7, data=bytes(8))
    second = Request(Command.EVENTS, 1, count=8, data=bytes([9, 0, 0, 0]))
    replies = channel.ask(first, second)
    assert channel.ask(Request(Command.EVENTS, 2, count=8))[0].data == bytes([10, 0, 0, 0])
    again = channel.ask(second) + channel.ask(Request(Command.EVENTS, 2, count=8))
    assert again[0] == replies[1] and again[1].data == bytes([10, 0, 0, 0])
    assert len(channel.device.writes) == 2 and channel.device.taken == [9]


def test_refusals_leave_the_kept_replies_alone():
    channel = session()
    channel.device.memory.update({i: 100 + i for i in range(8)})
    reads = [Request(Command.READ, seq, 2, True, 4 * seq, 4) for seq in range(2)]
    replies = channel.ask(*reads)
    for refused in (damaged(reads[0].encode(), "changed"), frame(Request(Command.READ, 5).encode()),
                    frame(Request(Command.READ, 4).encode())):
        channel.send(refused)
        assert channel.ask(*reads) == replies


def test_requests_out_of_order_are_not_executed():
    channel = session()
    for seq in (1, 13):  # 15 and 14 would count as repeated
        (reply,) = channel.ask(Request(Command.WRITE, seq, data=bytes(4)))
        assert (reply.status, reply.seq) == (Status.ORDER, seq)
    assert channel.device.writes == []
    assert channel.ask(Request(Command.WRITE, 0, data=bytes(4)))[0].status == Status.OK


def test_nothing_but_hello_before_hello():
    channel = Channel()
    for seq in (0, 1, 14, 15):
        (reply,) = channel.ask(Request(Command.WRITE, seq, data=bytes(4)))
        assert reply.status == Status.ORDER
    assert channel.device.writes == []


@pytest.mark.parametrize("data", [bytes(3), bytes(6)])
def test_half_an_element_is_bad(data):
    channel = session()
    (reply,) = channel.ask(Request(Command.WRITE, 0, data=data))
    assert (reply.status, reply.done) == (Status.BAD, len(data) // 4)
    assert channel.ask(Request(Command.WRITE, 1, data=bytes(4)))[0].status == Status.OK


@pytest.mark.parametrize("command", range(4, 16))
def test_unknown_commands_are_bad(command):
    channel = session()
    (reply,) = channel.ask(Request(command, 0, data=bytes(4)))
    assert reply.status == Status.BAD
    assert channel.device.writes == channel.device.taken == []


@pytest.mark.parametrize("command", [Command.READ, Command.WRITE])
def test_a_silent_bus_is_given_up(command):
    channel = session()
    request = Request(command, 0, 2, True, 0x7FFF, 3, bytes(12) if command == Command.WRITE else b"")
    (reply,) = channel.ask(request)
    assert (reply.status, reply.done) == (Status.BUS, 1)
    assert channel.ask(Request(Command.READ, 1, 2, True, 0x7FFF, 1))[0].status == Status.OK


def test_events_that_find_no_room_are_refused():
    channel = session(take_pause=1.0)
    words = [i.to_bytes(4, "little") for i in range(12)]
    (reply,) = channel.ask(Request(Command.EVENTS, 0, count=9, data=b"".join(words)))
    accepted = SPEC.in_words + 1  # one waits at the queue's output
    assert (reply.status, reply.done, reply.free, reply.data) == (Status.OK, accepted, 0, b"")
    channel.device.take_pause = 0.0
    (reply,) = channel.ask(Request(Command.EVENTS, 1, count=3))
    (reply,) = channel.ask(Request(Command.EVENTS, 2, count=3))
    assert channel.device.taken == list(range(accepted))
    assert reply.free == SPEC.in_words and len(reply.data) == 12


def damaged(body, how):
    good = bytearray(frame(body))
    match how:
        case "changed":
            good[3] ^= 0x10
        case "lost":
            del good[3]
        case "cut":
            del good[-4:-1]
        case "too long":
            return frame(body + bytes(100))
        case "too short":
            return frame(body[:4])
        case "noise":
            return bytes([END, 1, 2, 3, ESCAPE, END])
    return bytes(good)


@pytest.mark.parametrize("how", ["changed", "lost", "cut", "too long", "too short", "noise"])
def test_damaged_frames_are_dropped_counted_and_reported(how):
    channel = session()
    body = Request(Command.WRITE, 0, data=bytes([1, 2, 3, 4])).encode()
    (reply,) = channel.send(damaged(body, how))
    assert (reply.status, reply.seq, reply.errors) == (Status.NACK, 0, 1)
    assert channel.device.writes == []
    (reply,) = channel.send(frame(body))
    assert (reply.status, reply.errors) == (Status.OK, 1)


def test_empty_frames_mean_nothing():
    channel = session()
    assert channel.send(bytes([END] * 50)) == []
    assert channel.ask(Request(Command.WRITE, 0, data=bytes(4)))[0].errors == 0


def test_a_byte_that_the_uart_lost_damages_the_frame():
    channel = Channel()
    dut = channel.device.dut

    async def hit(ctx):
        for _ in range(15):
            await ctx.tick()
        ctx.set(dut.damaged, 1)
        await ctx.tick()
        ctx.set(dut.damaged, 0)

    channel.device.simulator.add_testbench(hit, background=True)
    (reply,) = channel.ask(Request(Command.HELLO, 3))
    assert reply.status == Status.NACK
    (reply,) = channel.ask(Request(Command.HELLO, 3))
    assert (reply.status, reply.errors) == (Status.OK, 1)


def test_two_requests_wait_for_a_slow_bus_and_a_third_is_dropped():
    channel = session(bus_pause=0.8)
    requests = [Request(Command.WRITE, seq, 0, True, 64 * seq, data=bytes(40)) for seq in range(4)]
    replies = channel.ask(*requests[:2], patience=10)
    assert [(reply.status, reply.done, reply.errors) for reply in replies] == [(Status.OK, 40, 0)] * 2
    replies = channel.ask(*requests[2:], Request(Command.WRITE, 4, data=bytes(4)), patience=10)
    assert sorted(reply.status for reply in replies) == [Status.OK, Status.OK, Status.NACK]
    assert [address for address, _ in channel.device.writes] == [
        64 * seq + i for seq in range(4) for i in range(40)]


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_leave_the_link_working(seed):
    rng = random.Random(seed)
    channel = session(seed=seed)
    noise = bytes(rng.choice([END, ESCAPE, rng.randrange(256)]) for _ in range(600))
    for reply in channel.send(noise):
        assert reply.status in (Status.NACK, Status.ORDER)
    assert channel.send(bytes([END])) is not None
    (reply,) = channel.ask(Request(Command.HELLO, 2))
    assert (reply.status, reply.seq) == (Status.OK, 2)
    assert channel.ask(Request(Command.WRITE, 3, data=bytes(4)))[0].status == Status.OK
    assert channel.device.writes == [(0, 0)]


@pytest.mark.parametrize("divisor", [4, 5, 16])
@pytest.mark.parametrize("drift", [-0.04, 0.0, 0.04])
def test_uart_receives_what_a_drifting_line_sends(divisor, drift):
    drift = drift if divisor == 16 else 0.0  # with few samples per bit there is no slack
    dut, received = UartRx(divisor), []
    sent = random.Random(divisor).randbytes(30)
    levels = [level for byte in sent for level in [0, *(byte >> bit & 1 for bit in range(8)), 1]] + [1] * 4

    async def drive(ctx):
        for cycle in range(int(len(levels) * divisor * (1 + drift))):
            ctx.set(dut.rx, levels[int(cycle / (divisor * (1 + drift)))])
            _, _, valid, damaged, byte = await ctx.tick().sample(dut.valid, dut.damaged, dut.data)
            assert not damaged
            if valid:
                received.append(byte)

    run(dut, drive)
    assert bytes(received) == sent


def test_uart_reports_a_missing_stop_bit_and_ignores_glitches():
    dut, seen = UartRx(8), []

    async def drive(ctx):
        for level, cycles in [(1, 20), (0, 2), (1, 200), (0, 8 * 10), (1, 200)]:
            ctx.set(dut.rx, level)
            for _ in range(cycles):
                _, _, valid, damaged = await ctx.tick().sample(dut.valid, dut.damaged)
                seen.extend(["byte"] * valid + ["damaged"] * damaged)

    run(dut, drive)
    assert seen == ["damaged"]


@pytest.mark.parametrize("divisor", [1, 4, 5])
def test_uart_sends_ten_bits_a_byte(divisor):
    dut, line = UartTx(divisor), []
    sent = bytes([0x00, 0xFF, 0x5A])

    async def drive(ctx):
        for byte in sent:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        for _ in range(12 * divisor):
            await ctx.tick()

    async def watch(ctx):
        while True:
            line.append(ctx.get(dut.tx))
            await ctx.tick()

    run(dut, drive, watch)
    start = line.index(0)
    expected = [level for byte in sent for level in [0, *(byte >> bit & 1 for bit in range(8)), 1]]
    assert line[start:start + 10 * divisor * len(sent)] == [bit for bit in expected for _ in range(divisor)]
    assert all(line[start + 10 * divisor * len(sent):])


def run(dut, drive, *background):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    simulator.run()


@pytest.mark.parametrize("component", [
    HostLink(SPEC), LinkCore(SPEC), FrameReceiver(SPEC), FrameSender(SPEC), UartRx(4), UartTx(4)],
    ids=lambda component: type(component).__name__)
def test_each_component_becomes_verilog(component):
    assert "[-1:0]" not in verilog.convert(component, name="dut", emit_src=False)


def test_fits_beside_an_accelerator_on_an_ice40(tmp_path):
    yosys = pytest.importorskip("pyosys.libyosys")
    source, report = tmp_path / "link.v", tmp_path / "stat.json"
    source.write_text(verilog.convert(HostLink(HostLinkSpec(divisor=12)), name="link", emit_src=False))
    design = yosys.Design()
    for command in (f"read_verilog {source}", "synth_ice40 -top link", f"tee -o {report} stat -json"):
        yosys.run_pass(f"tee -q {command}", design)
    cells = json.loads(report.read_text())["design"]["num_cells_by_type"]
    assert cells["SB_LUT4"] < 700
    assert cells["SB_RAM40_4K"] == 6  # one each for requests and replies, two for each queue


@pytest.mark.parametrize("build, error, message", [
    (lambda: HostLinkSpec(divisor=3), ValueError, "UART divisor must be between 4 and 65535 cycles, not 3"),
    (lambda: HostLinkSpec(divisor=4, slot_log2=5), ValueError,
     "Log2 of the slot must be between 6 and 10, not 5"),
    (lambda: HostLinkSpec(divisor=4, in_words=0), ValueError,
     "Input queue depth must be between 1 and 32768 words, not 0"),
    (lambda: HostLinkSpec.for_clock(12_000_000, 921_600 * 3), ValueError,
     (r"Baud rate must be within 2 % of the clock divided by a whole number of at least 4 "
      r"\(12000000 Hz / 4 = 3000000 bit/s\), not 2764800")),
    (lambda: HostLink(8), TypeError, "Host link parameters must be a HostLinkSpec, not 8"),
    (lambda: UartTx(0), ValueError, "UART divisor must be between 1 and 65535 cycles, not 0"),
])
def test_wrong_parameters(build, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        build()


def test_divisor_from_a_clock():
    assert HostLinkSpec.for_clock(12_000_000, 1_000_000, slot_log2=8).divisor == 12
    assert HostLinkSpec.for_clock(25_000_000, 115_200).divisor == 217


@pytest.mark.parametrize("how", ["hello", "flush"])
def test_queues_are_emptied(how):
    """What an interrupted run has left must not reach the next one, in either direction."""
    channel = session(take_pause=1.0)  # an accelerator that stands still
    device = channel.device
    device.outputs.extend(range(100, 105))
    words = b"".join(word.to_bytes(4, "little") for word in (1, 2, 3))
    (reply,) = channel.ask(Request(Command.EVENTS, 0, data=words))
    assert reply.done == 3 and reply.free == SPEC.in_words - 2  # one waits at the output
    assert not device.outputs  # all in the other queue
    if how == "hello":
        (reply,) = channel.ask(Request(Command.HELLO, 0))
        assert reply.free == SPEC.in_words
    else:
        device.flush = True
        device.cycle()
        device.flush = False
    (reply,) = channel.ask(Request(Command.EVENTS, 1, count=8, data=bytes([7, 0, 0, 0])))
    assert reply.data == b"" and reply.done == 1
    device.take_pause = 0.0
    (reply,) = channel.ask(Request(Command.EVENTS, 2, count=8))
    assert device.taken == [7] and reply.data in (b"", bytes([8, 0, 0, 0]))
