"""A spiking network that learns on the chip."""
