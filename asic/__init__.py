"""The ASIC side: PDKs, synthesis, energy before layout, and the hand-over to OpenROAD flows."""
