"""Two-phase bundled-data circuits of Click elements: plain gates and flip-flops, no C-elements."""

from neurogen.qdi.click.build import MARGIN, ClickDesign, build, lacking
from neurogen.qdi.click.simulate import cycle_time, simulate


__all__ = ["MARGIN", "ClickDesign", "build", "cycle_time", "lacking", "simulate"]
