import random
import sys

import numpy as np
import pytest

from fpga.driver import Host
from fpga.transports import LinkError, PinTransport, SerialTransport, Transport
from neurogen.rtl.hostlink import HostLink, LinkCore
from neurogen.spec.hostlink import VERSION, Command, Deframer, HostLinkSpec, Request, Status, frame
from tests.rtl.hostlink_bench import ByteDevice, PinDevice


SPEC = HostLinkSpec(divisor=4, slot_log2=6, in_words=20, out_words=10, timeout_log2=6)


class Noise:
    """Change, lose or invent bytes, each with the given probability."""

    def __init__(self, seed, probability):
        self.rng, self.probability, self.hits = random.Random(seed), probability, 0

    def __call__(self, byte, inwards):
        if self.rng.random() >= self.probability:
            return bytes([byte])
        self.hits += 1
        return self.rng.choice([bytes([byte ^ 1 << self.rng.randrange(8)]), b"",
                                bytes([byte, self.rng.randrange(256)]), b"~"])


def byte_host(**options):
    device = ByteDevice(LinkCore(SPEC), byte_cycles=4, **options)
    return device, Host(device, timeout=1e-3, retries=20)


def test_bus_through_pins():
    device = PinDevice(HostLink(SPEC), bus_pause=0.5)
    with Host(PinTransport(device.step, SPEC.divisor), timeout=20e-3) as host:
        assert host.max_words == SPEC.max_words == 12
        host.write(0x10, [1, -2, 0x80000000])
        assert device.writes == [(0x10, 1), (0x11, 0xFFFFFFFE), (0x12, 0x80000000)]
        assert host.read(0x10, 3).tolist() == [1, 0xFFFFFFFE, 0x80000000]
        assert (host.resent, host.host_errors, host.device_errors) == (0, 0, 0)


def test_events_through_pins_in_both_directions():
    device = PinDevice(HostLink(SPEC), take_pause=0.5, give_pause=0.5)
    host = Host(PinTransport(device.step, SPEC.divisor), timeout=20e-3)
    words = np.arange(0xFFFFFFF0, 0xFFFFFFF0 + 40) % (1 << 32)
    host.send_events(words)
    assert host.receive_events(40).tolist() == [(int(word) + 1) % (1 << 32) for word in words]
    assert device.taken == words.tolist()
    assert len(host.receive_events()) == 0


def test_pins_disturbed():
    device, rng, hits = PinDevice(HostLink(SPEC)), random.Random(5), 0

    def step(rx):
        nonlocal hits
        hit = rng.random() < 1 / 600
        hits += hit
        return device.step(rx ^ hit) ^ (rng.random() < 1 / 600)

    host = Host(PinTransport(step, SPEC.divisor), timeout=3e-3, retries=20)
    values = list(range(-12, 12))
    host.write(0, values, size=1)
    assert host.read(0, 24, size=1).view(np.int8).tolist() == values
    assert device.writes == [(i, value & 0xFFFFFFFF) for i, value in enumerate(values)]
    assert hits and host.resent


@pytest.mark.parametrize("size, dtype", [(1, np.int8), (2, np.int16), (4, np.int32)])
def test_bursts_longer_than_a_frame(size, dtype):
    device, host = byte_host(bus_pause=0.2)
    limits = np.iinfo(dtype)
    values = np.random.default_rng(size).integers(limits.min, limits.max, 60, endpoint=True)
    host.write(0x7F00, values, size=size)
    assert device.writes == [(0x7F00 + i, int(value) & 0xFFFFFFFF) for i, value in enumerate(values)]
    assert host.read(0x7F00, 60, size=size).view(dtype).tolist() == values.tolist()
    host.write(3, values[:30], size=size, increment=False)
    assert {address for address, _ in device.writes[60:]} == {3}
    assert (host.read(3, 20, increment=False).view(np.int32) == values[29]).all()


@pytest.mark.parametrize("seed", range(2))
def test_noise_changes_nothing_but_the_time(seed):
    noise = Noise(seed, 0.0)
    device, host = byte_host(seed=seed, harm=noise, take_pause=0.6, give_pause=0.6, bus_pause=0.2)
    noise.probability = 0.008
    words = list(range(80))
    host.write(0, words, increment=False)
    host.send_events(words)
    received = host.receive_events(len(words))
    noise.probability = 0.0
    assert noise.hits and host.resent and host.device_errors and host.host_errors
    assert device.writes == [(0, word) for word in words]
    assert device.taken == words
    assert received.tolist() == [word + 1 for word in words]
    assert len(host.receive_events()) == 0


def test_backpressure_loses_nothing():
    device, host = byte_host(take_pause=0.995)
    host.send_events(range(60))
    assert host.receive_events(60).tolist() == list(range(1, 61))
    assert device.taken == list(range(60))
    assert host.resent == 0


def test_an_accelerator_that_stands_still_is_reported():
    device, host = byte_host(take_pause=1.0)
    host = Host(device, timeout=1e-3, retries=2)
    with pytest.raises(LinkError, match=r"^Accelerator stands still: it has taken no event for 0\.002 s "
                                        r"\(21 of 30 sent\)$"):
        host.send_events(range(30))
    with pytest.raises(LinkError, match=r"^Accelerator must send 1 event words, not 0 and then none for "
                                        r"0\.002 s$"):
        host.receive_events(1)
    device.take_pause = 0.0
    host.send_events([99])
    assert host.receive_events(22).tolist() == [*range(1, 22), 100]


def test_events_that_nobody_asked_for_are_kept():
    device, host = byte_host()
    device.outputs.extend(range(40))
    host.send_events([100])
    assert host.receive_events(15).tolist() == list(range(15))
    assert host.receive_events(26).tolist() == [*range(15, 40), 101]


def test_a_silent_bus_is_reported_with_its_address():
    _, host = byte_host()
    with pytest.raises(LinkError, match=r"^Bus did not acknowledge in time at word address 0x8000$"):
        host.read(0x7FE0, 64)
    with pytest.raises(LinkError, match=r"^Bus did not acknowledge in time at word address 0x8000$"):
        host.write(0x7FFF, range(40))
    assert host.read(0x7FFF).tolist() == [0]


def test_a_new_host_takes_over():
    device, host = byte_host()
    host.write(0, range(30))
    device.write(frame(Request(Command.READ, 9, count=12).encode())[:-4])  # the old one died while it spoke
    other = Host(device, timeout=2e-3)
    assert other.read(0, 30).tolist() == list(range(30))


def test_a_device_that_lost_its_session_is_reported():
    device, host = byte_host()
    host.write(0, [1])
    device.write(frame(Request(Command.HELLO, 9).encode()))
    with pytest.raises(LinkError, match=r"^Device has lost the session \(was it reset\?\): connect again$"):
        host.read(0)
    host.connect()
    assert host.read(0).tolist() == [1]


class Mute(Transport):
    """A channel without a device, or with one that says the same again and again."""

    def __init__(self, answer=b""):
        self.time, self.sent, self.answer = 0.0, b"", answer

    def write(self, sent):
        self.sent += sent

    def read(self, timeout):
        self.time += timeout
        return self.answer if self.sent else b""

    def now(self):
        return self.time

    def close(self):
        pass


def test_no_device_is_reported():
    channel = Mute()
    with pytest.raises(LinkError, match=r"^Device did not answer a HELLO request that was sent 4 times "
                                        r"\(0 damaged replies\)$"):
        Host(channel, retries=3)
    assert len(list(Deframer().feed(channel.sent))) == 4


@pytest.mark.parametrize("answer", [b"\x00\xff" * 10, b"~~~~", frame(b"\x90\x00\x00\x00\x00"), frame(b"ab")])
def test_a_babbling_device_is_reported(answer):
    with pytest.raises(LinkError, match=r"^Device did not answer a HELLO request that was sent 3 times"):
        Host(Mute(answer), retries=2)


def test_another_protocol_version_is_refused():
    with pytest.raises(LinkError, match=rf"^Device must speak version {VERSION} of the protocol, not 7$"):
        Host(Mute(frame(bytes([Status.OK, 0, 0x78, 0, 0]))))


@pytest.mark.parametrize("call, message", [
    (lambda host: host.write(0xFFFF, [1, 2]),
     "Word addresses must be between 0x0000 and 0xffff, not 0xffff to 0x10000"),
    (lambda host: host.read(-1), "Word addresses must be between 0x0000 and 0xffff, not -0x001 to -0x001"),
    (lambda host: host.write(0, [128], size=1),
     "Values of 1 bytes must be between -128 and 127, not 128 to 128"),
    (lambda host: host.write(0, 1 << 32),
     "Values of 4 bytes must be between -2147483648 and 4294967295, not 4294967296 to 4294967296"),
    (lambda host: host.read(0, size=3), "Element size must be 1, 2 or 4 bytes, not 3"),
    (lambda host: host.send_events([-1]), "Event words must be between 0 and 4294967295"),
])
def test_wrong_arguments(call, message):
    host = Host(Mute(frame(bytes([Status.OK, 0, VERSION << 4 | 8, 0, 0]))))
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(host)


def test_without_pyserial(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    message = "^Serial ports need pyserial: install it with `pip install pyserial`$"
    with pytest.raises(LinkError, match=message):
        SerialTransport("/dev/null", 115200)
