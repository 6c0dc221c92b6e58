import numpy as np

from benchmarks.dirty_rows import swept_rows


def naive(states, counts, lanes):
    """The same, pixel by pixel."""
    blocks = rows = 0
    steps, channels, height, width = states.shape
    tiles_x = -(-width // 3)
    for t in range(steps):
        for first in range(0, channels, lanes):
            live = set()
            for y, x in np.ndindex(height, width):
                near = counts[t][:, max(0, y - 1):y + 2, max(0, x - 1):x + 2]
                if near.any() or (t and states[t - 1][first:first + lanes, y, x].any()):
                    live.add(y // 3 * tiles_x + x // 3)
            total = -(-height // 3) * tiles_x
            rows += len(live)
            blocks += sum(min(8, total - 8 * block) for block in {row // 8 for row in live})
    return blocks / steps, rows / steps


def test_rows_are_those_with_a_state_or_an_event():
    rng = np.random.default_rng(0)
    for height, width, lanes in ((9, 12, 2), (10, 14, 3), (3, 7, 4)):
        states = rng.integers(-3, 4, (4, 4, height, width)) * (rng.random((4, 4, height, width)) < 0.02)
        counts = rng.random((4, 2, height, width)) < 0.01
        found = swept_rows(states, counts, lanes)
        assert found == naive(states, counts, lanes)
        assert 0 < found[1] <= found[0]
    assert swept_rows(np.zeros((1, 1, 9, 9), int), np.zeros((1, 1, 9, 9), bool)) == (0, 0)
