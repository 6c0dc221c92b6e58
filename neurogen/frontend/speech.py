"""Spoken words as events: log-mel bands, their first and second differences in time, rate-coded.

=============  ==========================================================================================
pre-emphasis   ``y[n] = x[n] - 0.97 x[n - 1]``
frames         `STEPS` windows of `WINDOW` samples (Hamming), evenly from the first sample to the last:
               words of any length take the same number of steps
bands          power in `BANDS` triangles, even in mel from 60 to 3900 Hz, in dB; what is more than 50 dB
               below the largest of the recording counts as that
smoothing      mean of three neighbouring bands
level          minus the mean and divided by the standard deviation of the recording
differences    ``d[t] = sum k (x[t + k] - x[t - k]) / 10`` for ``k`` 1 and 2, edges repeated; ``dd`` of ``d``
gain           ``level / 2``, ``d / 0.3``, ``dd / 0.1``, clipped to 0 to 1
rate code      a channel adds its value up, from a half on, and spikes whenever it passes an integer
=============  ==========================================================================================

Channels 0 to 39 are levels, 40 to 79 rises, 80 to 119 their rises. All is in double precision; a value that
meets an integer to its last bit may spike a step earlier or later on another machine.
"""

import numpy as np

from neurogen.spec.checks import check_int


__all__ = ["BANDS", "CHANNELS", "STEPS", "WINDOW", "encode", "filterbank", "log_mel"]


BANDS, STEPS, WINDOW = 40, 48, 256
CHANNELS = 3 * BANDS
_POINTS, _LOW, _HIGH, _FLOOR = 512, 60.0, 3900.0, 50.0
_GAINS = (1 / 2, 1 / 0.3, 1 / 0.1)


def filterbank(rate: int) -> np.ndarray:
    """Return the triangles, ``float[bins, BANDS]``, for samples of ``rate`` Hz."""
    check_int("Sampling rate", rate, minimum=int(2 * _HIGH), unit="Hz")
    ends = 2595 * np.log10(1 + np.array([_LOW, _HIGH]) / 700)
    corners = 700 * (10 ** (np.linspace(*ends, BANDS + 2) / 2595) - 1)
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    frequency = np.arange(_POINTS // 2 + 1)[:, None] * rate / _POINTS
    return np.maximum(0, np.minimum((frequency - low) / (centre - low), (high - frequency) / (high - centre)))


def log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the bands of a recording in dB, smoothed, ``float[STEPS, BANDS]``; the largest is near 0."""
    samples = np.asarray(samples, float)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"Recording must be a row of samples, not of shape {samples.shape}")
    samples = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    samples = np.append(samples, np.zeros(max(0, WINDOW - len(samples))))
    starts = np.linspace(0, len(samples) - WINDOW, STEPS).astype(int)
    frames = samples[starts[:, None] + np.arange(WINDOW)] * np.hamming(WINDOW)
    power = np.abs(np.fft.rfft(frames, _POINTS)) ** 2 @ filterbank(rate)
    level = 10 * np.log10(power + 1e-3)
    level = np.maximum(level - level.max(), -_FLOOR)
    wide = np.pad(level, ((0, 0), (1, 1)), "edge")
    return (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3


def _difference(x: np.ndarray) -> np.ndarray:
    p, steps = np.pad(x, ((2, 2), (0, 0)), "edge"), len(x)
    return sum(k * (p[2 + k:2 + k + steps] - p[2 - k:2 - k + steps]) for k in (1, 2)) / 10


def encode(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the events of a recording, ``uint8[STEPS, CHANNELS]``, 0 or 1.

    Parameters
    ----------
    samples
        Amplitudes, ``[n]``, of any scale.
    rate
        Samples per second, at least 7800.
    """
    level = log_mel(samples, rate)
    spread = level.std()
    level = (level - level.mean()) / (spread if spread else 1.0)
    rise = _difference(level)
    channels = [gain * x for gain, x in zip(_GAINS, (level, rise, _difference(rise)), strict=True)]
    total = 0.5 + np.cumsum(np.clip(np.concatenate(channels, 1), 0, 1), 0)
    return np.diff(np.floor(total), axis=0, prepend=0).astype(np.uint8)
