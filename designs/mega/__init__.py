"""Mega: the event-driven accelerator of `neurogen.rtl.mega`, from a network to Verilog, simulation, FPGA."""
