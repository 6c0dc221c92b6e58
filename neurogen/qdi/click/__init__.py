"""Two-phase bundled-data circuits of Click elements: plain gates and flip-flops, no C-elements."""

from neurogen.qdi.click.build import MARGIN, ClickDesign, build, lacking
from neurogen.qdi.click.constraints import click_sdc
from neurogen.qdi.click.simulate import cycle_time, simulate, varied_delays
from neurogen.qdi.click.verilog import bench_verilog, models_verilog


__all__ = ["MARGIN", "ClickDesign", "bench_verilog", "build", "click_sdc", "cycle_time", "lacking",
           "models_verilog", "simulate", "varied_delays"]
