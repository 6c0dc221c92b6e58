"""Passes P1 to P12: on the structured program (P1 to P5, P8, P9), while lowering (P6, P7), on the graph
(P10 to P12).
"""
