"""From a Python function to a verified netlist and its report: what ``neurogen synth`` does."""
