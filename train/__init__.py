"""Scripts that train the networks in `designs/networks`; they need the ``train`` extra (torch)."""
