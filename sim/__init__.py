"""Test benches of whole designs that run inside a simulator."""
