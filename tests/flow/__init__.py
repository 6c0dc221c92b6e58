"""Tests of `neurogen.flow`."""
