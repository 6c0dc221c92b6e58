"""What the command line does: fetch data, elaborate, simulate, verify, report.

The only layer that writes files.
"""
