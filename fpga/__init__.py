"""Boards, and the host's end of the link to them."""
