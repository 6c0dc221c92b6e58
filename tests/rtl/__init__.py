"""Tests of the gateware against the contract."""
