"""A µBrain-class chip: a tiny event-driven network of self-timed layers, from NIR and Python functions."""
