import pytest

from neurogen.spec.qdi import BLOCKS


@pytest.mark.parametrize("kind, values, error, text", [
    ("fork", {"width": 4}, ValueError, "Parameters of fork must be width, n, not width"),
    ("adder", {"width": 0}, ValueError, "Parameter width of adder must be at least 1 bits, not 0"),
    ("buffer", {"width": -1}, ValueError, "Parameter width of buffer must be at least 0 bits, not -1"),
    ("addc", {"width": 4, "value": 16}, ValueError,
     "Parameter value of addc must be between 0 and 15, not 16"),
    ("ltc", {"width": 4, "value": -1, "signed": False}, ValueError,
     "Parameter value of ltc must be between 0 and 15, not -1"),
    ("ltc", {"width": 4, "value": -9, "signed": True}, ValueError,
     "Parameter value of ltc must be between -8 and 7, not -9"),
    ("lt", {"width": 4, "signed": 2}, TypeError, "Parameter signed of lt must be True or False, not 2"),
    ("logic", {"width": 4, "op": "nand"}, ValueError,
     "Parameter op of logic must be one of 'and', 'or', 'xor', not 'nand'"),
    ("fork", {"width": 4, "n": 0}, ValueError, "Parameter n of fork must be at least 1, not 0"),
    ("pack", {"widths": ()}, TypeError, "Parameter widths of pack must be a tuple of integers, not ()"),
    ("pack", {"widths": (1, -1)}, ValueError, "Each of widths of pack must be at least 0 bits, not -1"),
    ("rom", {"width": 2, "values": (4,)}, ValueError, "Each of values of rom must be between 0 and 3, not 4"),
    ("lut", {"in_widths": (2,), "out_width": 1, "table": (0, 1)}, ValueError,
     "Parameter table of lut must have 4 entries, not 2"),
])
def test_wrong_parameters_are_errors(kind, values, error, text):
    with pytest.raises(error) as caught:
        BLOCKS[kind].ports(**values)
    assert str(caught.value) == text


def test_ports_have_the_widths_of_their_parameters():
    inputs, outputs = BLOCKS["pack"].ports(widths=(3, 0, 2))
    assert [(port.name, port.width) for port in inputs] == [("i0", 3), ("i1", 0), ("i2", 2)]
    assert [(port.name, port.width) for port in outputs] == [("o", 5)]
    assert [port.width for port in BLOCKS["rom"].ports(width=8, values=(1, 2, 3, 4, 5))[0]] == [3]
    assert [port.width for port in BLOCKS["else_condition"].ports(n=3)[1]] == [4]


def test_the_library_has_44_blocks_in_order():
    assert [block.number for block in BLOCKS.values()] == list(range(1, 45))
