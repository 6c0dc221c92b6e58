"""Synthesizable components (Amaranth), file for file beside `neurogen.spec`; each can be used alone."""
