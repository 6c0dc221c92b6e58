"""Dividers of the PLLs of ECP5 and iCE40 for a wanted clock."""

from collections.abc import Iterable
from dataclasses import dataclass

from neurogen.spec.checks import check_int


__all__ = ["Pll", "ecp5_pll", "ice40_pll"]


@dataclass(frozen=True)
class Pll:
    """Setting of a PLL: ``out_hz = clock * feedback / (reference * ...)``, see the functions that return it.

    Parameters
    ----------
    reference
        Divider of the clock that comes in.
    feedback
        Divider in the loop.
    output
        Divider of the oscillator.
    oscillator_hz, out_hz
        Frequencies that follow.
    filter_range
        Setting of the loop filter (iCE40).
    """

    reference: int
    feedback: int
    output: int
    oscillator_hz: float
    out_hz: float
    filter_range: int = 0


def ecp5_pll(clock_hz: int, target_hz: int) -> Pll:
    """Return the dividers of an ECP5's EHXPLLL whose loop closes over CLKOP.

    ``out = clock * feedback / reference``, ``oscillator = out * output``; of the settings within 0.1 % of the
    target the closest, then the one with the fastest phase comparison.

    Raises
    ------
    ValueError
        If there is none.
    """
    _check(clock_hz, target_hz, "ECP5", (8, 400), (3.125, 400))
    found = []
    for reference in range(1, 129):
        if not 3.125e6 <= clock_hz / reference <= 400e6:
            continue
        feedback = round(target_hz * reference / clock_hz)
        if not 1 <= feedback <= 128:
            continue
        out = clock_hz * feedback / reference
        # Towards the middle of the oscillator's range of 400 to 800 MHz.
        output = max(1, min(128, round(600e6 / out)))
        if 400e6 <= out * output <= 800e6:
            found.append(Pll(reference, feedback, output, out * output, out))
    return _best(found, clock_hz, target_hz)


def ice40_pll(clock_hz: int, target_hz: int) -> Pll:
    """Return the dividers of an iCE40's SB_PLL40 with the feedback path SIMPLE.

    ``oscillator = clock * feedback / reference``, ``out = oscillator / output``; ``output`` is a power
    of two.

    Raises
    ------
    ValueError
        If no setting comes within 0.1 % of the target.
    """
    _check(clock_hz, target_hz, "iCE40", (10, 133), (16, 275))
    found = []
    for reference in range(1, 17):
        comparison = clock_hz / reference
        if not 10e6 <= comparison <= 133e6:
            continue
        for output in (2, 4, 8, 16, 32, 64):
            feedback = round(target_hz * output / comparison)
            oscillator = comparison * feedback
            if 1 <= feedback <= 128 and 533e6 <= oscillator <= 1066e6:
                limits = (17e6, 26e6, 44e6, 66e6, 101e6)
                filter_range = 1 + sum(comparison >= limit for limit in limits)
                found.append(Pll(reference, feedback, output, oscillator, oscillator / output, filter_range))
    return _best(found, clock_hz, target_hz)


def _check(clock_hz: int, target_hz: int, family: str, clock_mhz: tuple, target_mhz: tuple) -> None:
    for name, value, (low, high) in (("Clock", clock_hz, clock_mhz), ("Target clock", target_hz, target_mhz)):
        check_int(name, value, minimum=1, unit="Hz")
        if not low <= value / 1e6 <= high:
            raise ValueError(f"{name} of an {family} PLL must be between {low} and {high} MHz, "
                             f"not {value / 1e6:g}")


def _best(found: Iterable[Pll], clock_hz: int, target_hz: int) -> Pll:
    close = [pll for pll in found if abs(pll.out_hz / target_hz - 1) <= 1e-3]
    if not close:
        raise ValueError(f"Target clock must be one that a PLL makes of {clock_hz / 1e6:g} MHz within 0.1 %, "
                         f"not {target_hz / 1e6:g} MHz")
    return min(close, key=lambda pll: (abs(pll.out_hz - target_hz), pll.reference))
