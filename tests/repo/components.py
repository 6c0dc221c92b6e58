"""Every component of `neurogen.rtl`, in a small size.

As a program: prints the SHA-256 of the RTLIL of each.
"""

import hashlib
import sys
from dataclasses import replace
from importlib import import_module

from amaranth.back import rtlil
from amaranth.hdl import signed
from amaranth.lib import data, wiring

from neurogen.spec.hostlink import HostLinkSpec
from neurogen.spec.learning import Learner, LearnLayer
from neurogen.spec.lif import Lif
from neurogen.spec.mega import MegaSpec
from tests.rtl.qdi.rules import PARAMETERS


__all__ = ["COMPONENTS", "make"]


_SMALL = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=16, weight_depth=16, spike_depth=16,
                  program_depth=64)
_FULL = MegaSpec(lanes=2, clusters=2, weight_bits=8, state_bits=16, state_depth=64, weight_depth=32,
                 spike_depth=32, program_depth=128, fraction_bits=(0, 6), cuba=True, sweep_cycles=2,
                 max_pool_rows=16, external=True)
_ALONE = replace(_SMALL, overlap=False)
_LINK = HostLinkSpec(divisor=4, slot_log2=6, in_words=8, out_words=8)
_NEURONS = Lif(shape=(5,), threshold=20, decay=3686, state_bits=12, v_lo=-1024, v_hi=1023)
_LEARNER = Learner(inputs=5, layers=[LearnLayer(neurons=6, threshold=20, recurrent=True)], classes=2, lanes=4)
_DEEP = Learner(inputs=3, layers=[LearnLayer(neurons=4, threshold=20, leak_shift=2), LearnLayer(neurons=2)],
                classes=3, lanes=2, rule="rstdp", prototypes="learn")
_WORD = data.StructLayout({"value": signed(5), "last": 1})

# Module and class -> arguments for each variant. A test fails where a component is not in the table.
_MEGA = {"small": ((_SMALL,), {}), "full": ((_FULL,), {})}
_LEARN = {"recurrent": ((_LEARNER,), {}), "deep": ((_DEEP,), {}),
          "fptt": ((replace(_LEARNER, rule="fptt"),), {})}
COMPONENTS: dict[str, dict[str, tuple[tuple, dict]]] = {
    "address.AddressGenerator": _MEGA,
    "bus.AxiLiteToWishbone": {"8": ((8,), {})},
    "bus.AxiStreamToStream": {"plain": ((_WORD,), {}), "last": ((_WORD,), {"last": True})},
    "bus.StreamToAxiStream": {"plain": ((_WORD,), {}), "last": ((_WORD,), {"last": True})},
    "cluster.Cluster": _MEGA,
    "control.Control": _MEGA,
    "conv.ConvEngine": _MEGA,
    "dispatch.Dispatcher": _MEGA | {"alone": ((_ALONE,), {})},
    "frames.FrameReceiver": {"": ((_LINK,), {})},
    "frames.FrameSender": {"": ((_LINK,), {})},
    "hostlink.HostLink": {"": ((_LINK,), {})},
    "hostlink.LinkCore": {"": ((_LINK,), {})},
    "learning.LearnEngine": _LEARN,
    "learning_control.LearnControl": _LEARN,
    "learning_error.ErrorUnit": _LEARN,
    "learning_lanes.Modulator": _LEARN,
    "learning_lanes.NeuronLanes": _LEARN,
    "learning_lanes.UpdateLanes": _LEARN,
    "lif.LifArray": {"": ((_NEURONS,), {})},
    "lif_datapath.LifDatapath": {"": ((3, 12), {}), "saturate": ((3, 12), {"saturate": True})},
    "loader.Loader": {"full": ((_FULL,), {})},
    "loader.ReadGuard": {"": ((30,), {})},
    "mega.Mega": _MEGA | {"alone": ((_ALONE,), {})},
    "memory.Ram": {"plain": ((_WORD, 8), {}), "block": ((32, 8), {"granularity": 8, "ram_style": "block",
                                                                 "collisions": False})},
    "memory.RegisterFile": {"": ((8, 4), {"granularity": 4})},
    "pool.MaxPoolFilter": {"full": ((_FULL,), {})},
    "sequencer.Sequencer": _MEGA,
    "spikes.Extractor": _MEGA,
    "spikes.SpikeMemory": _MEGA,
    "streams.Queue": {"": ((_WORD, 4), {})},
    "streams.SkidBuffer": {"": ((_WORD,), {})},
    "sweep.SweepControl": _MEGA,
    "transfer.Emitter": _MEGA,
    "transfer.Feeder": _MEGA,
    "uart.UartRx": {"": ((4,), {})},
    "uart.UartTx": {"": ((4,), {})},
    "weights.WeightWriter": _MEGA,
}


# Blocks of the library of asynchronous circuits.
COMPONENTS |= {
    f"qdi.{module}.{kind.title().replace('_', '')}": {"": ((), PARAMETERS[kind][0])}
    for module, kinds in {
        "data": "source const buffer fifo init fork pack unpack sink_data slice",
        "operators": "adder sub addc logic not neg lt le ltc equal eqc mask ternary mul lut rom",
        "control": "select branch merge select_n branch_n else_condition parallel loop gate hold",
        "state": "reg ram mutex arb_merge seq",
        "borders": "stream_to_qdi qdi_to_stream aer_port",
    }.items() for kind in kinds.split()}
COMPONENTS |= {"qdi.data.TwoSlots": {"empty": ((4,), {}), "full": ((4, 9), {})},
               "qdi.borders.AerSender": {"": ((6,), {})}}


def make(name: str, variant: str) -> wiring.Component:
    """Return a new component of the table."""
    module, _, cls = name.rpartition(".")
    args, kwargs = COMPONENTS[name][variant]
    return getattr(import_module(f"neurogen.rtl.{module}"), cls)(*args, **kwargs)


def _main() -> None:
    for name, variants in COMPONENTS.items():
        for variant in variants:
            text = rtlil.convert(make(name, variant), name="top", emit_src=False)
            sys.stdout.write(f"{hashlib.sha256(text.encode()).hexdigest()} {name} {variant}\n")


if __name__ == "__main__":
    _main()
