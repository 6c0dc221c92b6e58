import re

import numpy as np
import pytest

from neurogen.frontend.speech import BANDS, CHANNELS, STEPS, encode, filterbank, log_mel


def tone(frequency, seconds=0.5, rate=8000):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def test_a_tone_lights_its_band():
    for frequency in (300, 1000, 3000):
        bands = log_mel(1000 * tone(frequency), 8000)
        centre = filterbank(8000)[round(frequency * 512 / 8000)].argmax()
        assert abs(int(bands.mean(0).argmax()) - int(centre)) <= 1


def test_loudness_and_length_change_little():
    sweep = np.concatenate([tone(500, 0.3), tone(2000, 0.3)])
    long = np.concatenate([tone(500, 0.6), tone(2000, 0.6)])
    first = encode(1000 * sweep, 8000)
    assert first.shape == (STEPS, CHANNELS) and first.dtype == np.uint8
    assert set(np.unique(first)) == {0, 1}
    assert (first != encode(30_000 * sweep, 8000)).mean() < 0.02
    assert (first != encode(1000 * long, 8000)).mean() < 0.15
    levels, backward = first[:, :BANDS], encode(1000 * sweep[::-1], 8000)[:, :BANDS]
    assert (levels != backward).mean() > 3 * (levels != encode(1000 * long, 8000)[:, :BANDS]).mean()


def test_rises_are_in_their_channels():
    quiet_then_loud = np.concatenate([0.001 * tone(1000), tone(1000)]) * 1000
    rises = encode(quiet_then_loud, 8000)[:, BANDS:2 * BANDS].sum(1)
    assert rises[STEPS // 2 - 4:STEPS // 2 + 4].sum() > rises[:STEPS // 2 - 4].sum() + 20


def test_silence_and_a_few_samples_are_encoded():
    assert encode(np.zeros(1000), 8000).sum() == 0
    assert encode([1, 2, 3], 8000).shape == (STEPS, CHANNELS)


def test_wrong_recordings():
    with pytest.raises(ValueError, match=re.escape("Recording must be a row of samples, not of shape (0,)")):
        encode([], 8000)
    with pytest.raises(ValueError, match=r"^Sampling rate must be at least 7800 Hz, not 4000$"):
        encode([1, 2], 4000)
