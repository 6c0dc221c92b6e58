"""What the command line does: elaborate, simulate, verify, build; finding and running the tools."""
