"""Two-phase bundled-data circuits of Click elements: plain gates and flip-flops, no C-elements."""

from neurogen.qdi.click.build import MARGIN, ClickDesign, build
from neurogen.qdi.click.simulate import simulate


__all__ = ["MARGIN", "ClickDesign", "build", "simulate"]
