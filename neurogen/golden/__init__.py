"""The NumPy golden model: the integer contract in code, file for file beside `neurogen.spec`."""
