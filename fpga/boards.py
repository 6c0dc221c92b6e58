"""Boards as a table: what a build needs to know about each."""

from dataclasses import dataclass
from importlib import import_module

from amaranth.build import Platform

from neurogen.flow.errors import UserError
from neurogen.flow.tools import ToolError


__all__ = ["BOARDS", "DEFAULT_BOARD", "Board", "find_board"]


@dataclass(frozen=True)
class Board:
    """A board that amaranth-boards describes.

    Parameters
    ----------
    name
        What ``--board`` takes.
    platform
        ``module:class`` of the platform, in ``amaranth_boards``.
    family
        ``ecp5`` or ``ice40``.
    clock_hz
        Clock on the board, in Hz.
    target_hz
        Clock of the accelerator, in Hz: made by a PLL unless it is the same.
    baud
        Bits per second on the line to the host; ``target_hz`` is a multiple.
    led
        Resource (and, of an RGB LED, the part) that shows that a program runs, or None.
    config
        Configuration that fits.
    cells
        What the device has, by the names of nextpnr's report.
    """

    name: str
    platform: str
    family: str
    clock_hz: int
    target_hz: int
    baud: int
    led: tuple[str, str | None] | None
    config: str
    cells: dict[str, int]

    @property
    def divisor(self) -> int:
        """Clock cycles of a bit on the line."""
        return self.target_hz // self.baud

    def make_platform(self) -> Platform:
        """Return Amaranth's platform; each builds one design.

        Raises
        ------
        ToolError
            If amaranth-boards is not installed.
        """
        module, _, name = self.platform.partition(":")
        try:
            return getattr(import_module(f"amaranth_boards.{module}"), name)()
        except ModuleNotFoundError as error:
            raise ToolError(f"Board {self.name} needs {error.name}: "
                            f"run `pip install 'neurogen[fpga]'`") from None


_25F = {"TRELLIS_COMB": 24288, "TRELLIS_FF": 24288, "DP16KD": 56, "MULT18X18D": 28}
_85F = {"TRELLIS_COMB": 83640, "TRELLIS_FF": 83640, "DP16KD": 208, "MULT18X18D": 156}
_HX8K = {"ICESTORM_LC": 7680, "ICESTORM_RAM": 32}

# The 85F has room for `default` too, whose build takes three times as long as that of `edge`.
BOARDS = {board.name: board for board in (
    Board("ulx3s-85f", "ulx3s:ULX3S_85F_Platform", "ecp5", 25_000_000, 30_000_000, 3_000_000,
          ("led", None), "edge", _85F),
    Board("ulx3s-25f", "ulx3s:ULX3S_25F_Platform", "ecp5", 25_000_000, 45_000_000, 3_000_000,
          ("led", None), "edge", _25F),
    Board("icesugar-pro", "icesugar_pro:ICESugarProPlatform", "ecp5", 25_000_000, 45_000_000, 1_000_000,
          ("rgb_led", "g"), "edge", _25F),
    Board("ice40-hx8k-b-evn", "ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform", "ice40", 12_000_000, 12_000_000,
          1_000_000, ("led", None), "mini", _HX8K),
)}
DEFAULT_BOARD = "ulx3s-85f"


def find_board(name: str) -> Board:
    """Return the board called ``name``, in small letters or capitals.

    Raises
    ------
    UserError
        If there is none; lists them.
    """
    if name.lower() not in BOARDS:
        raise UserError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name.lower()]
