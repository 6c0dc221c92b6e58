"""Tests of `neurogen.mapping`."""
