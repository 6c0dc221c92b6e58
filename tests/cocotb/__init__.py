"""Whole designs under cocotb."""
