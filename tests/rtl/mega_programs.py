"""A small accelerator, and programs for it by hand; shared by tests of the whole."""

import numpy as np

from neurogen.spec.mega import BANKS, PARAMETERS, MegaSpec, Op, Source, encode


__all__ = ["SPEC", "image", "layer", "parameters", "words"]


SPEC = MegaSpec(lanes=2, clusters=2, weight_bits=4, state_bits=12, state_depth=32, weight_depth=64,
               spike_depth=32, program_depth=256, fraction_bits=(0, 3), cuba=True, sweep_cycles=2,
               max_pool_rows=16, external=True)


def words(*instructions):
    """Return the program; the last instruction ends the step."""
    last = dict(instructions[-1], end_of_step=1)
    return np.array([w for i in (*instructions[:-1], last) for w in encode(SPEC, i)], np.uint32)


def parameters(threshold, leak=0, bias=0, reset_value=0):
    """Return the weight rows of one set for all lanes, ``int[parameter_rows, 9, total_lanes]``."""
    values = zip(PARAMETERS, (threshold, leak, bias, reset_value, 0), strict=True)
    bits = SPEC.state_bits
    word = sum(value % (1 << bits) << bits * n for n, (_, value) in enumerate(values))
    width, rows = SPEC.weight_bits, SPEC.parameter_rows
    digits = [word >> width * n & (1 << width) - 1 for n in range(rows * BANKS)]
    column = np.array([d - (1 << width) if d >> width - 1 else d for d in digits]).reshape(rows, BANKS, 1)
    return np.repeat(column, SPEC.total_lanes, axis=2)


def image(weights, threshold=1000, **values):
    """Return the weight memory of `layer`: 3x3 weights ``[ci, ky, kx, co]``, then parameters."""
    taps = weights.reshape(len(weights), BANKS, SPEC.total_lanes)
    # Tap row i holds kernel row 2 - i.
    return np.concatenate([taps[:, ::-1], parameters(threshold, **values)])


def layer(channels, height, width, *, pool_log2=0, max_pool=0, sweep=True, **fields):
    """Return a program: INIT, INTEGRATE of the stream by a 3x3 convolution, SWEEP, EMIT."""
    tiles_x, tiles = -(-width // 3), -(-height // 3) * -(-width // 3)
    rows = -(-tiles // 8) * 8
    size = {"in_h": height, "in_w": width}
    integrate = {"op": Op.INTEGRATE, "source": Source.STREAM, "in_channels": channels, **size, "kernel": 3,
                 "pad_y": 1, "pad_x": 1, "subs": 1, "words_per_channel": 1, "ops": 1, "groups": 1,
                 "group_rows": rows, "last_lanes": SPEC.total_lanes, "out_h": height, "out_w": width,
                 "out_tiles_x": tiles_x, "pool_log2": pool_log2, "max_pool": max_pool} | fields
    swept = {"op": Op.SWEEP, "rows": tiles, "weight_base": channels, "out_h": height,
             "out_w": width, "v_lo": -2048, "v_hi": 2047}
    emit = {"op": Op.EMIT, "rows": tiles if sweep else 0, "tiles": rows, "tiles_x": tiles_x, "population": 5,
            "tick": 1}
    return [{"op": Op.INIT, "once": 1, "rows": rows}, {"op": Op.INIT, "once": 1, "spikes": 1, "rows": rows},
            integrate, *([swept] if sweep else []), emit]
