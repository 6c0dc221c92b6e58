import numpy as np
import pytest

from asic.liberty import LibertyError, Table, read_liberty
from asic.pdk import load_pdk
from tests.asic.toy import FOLDER, needs_pdk, require


require("libparse")


@pytest.fixture(scope="module")
def toy():
    return read_liberty(FOLDER / "toy.lib")


def test_units_are_si(toy):
    inv = toy["INV"]
    assert toy.voltage == 1.0
    assert inv.area == 1
    assert inv.pins["A"].capacitance == pytest.approx(2e-15)
    assert inv.default_leakage == pytest.approx(1e-9)
    assert {round(state.watts * 1e9, 6) for state in inv.leakage} == {0.5, 1.5}
    (arc,) = inv.pins["Y"].arcs
    assert arc.delay[0](10e-12, 1e-15) == pytest.approx(0.054e-9)  # the first point of cell_rise
    (energy,) = inv.pins["Y"].internal
    assert energy.rise(0.5e-9, 0.05e-12) == pytest.approx(0.0055e-12)  # the middle of the four points
    assert energy.fall(0, 0) == pytest.approx(0.002e-12)


def test_functions_states_and_roles(toy):
    assert toy["MUX2"].pins["Y"].function.pins == ("A", "S", "B")
    assert toy["DFF"].storage["kind"] == "ff" and toy["DFF"].storage["next_state"] == "D"
    assert toy["DFF"].pins["C"].clock and not toy["DFF"].pins["D"].clock
    assert toy["ICG"].clock_gate == "latch_posedge"
    assert toy["MUX2"].inputs == ("A", "B", "S") and toy["MUX2"].outputs == ("Y",)
    assert len(toy["DFF"].pins["C"].internal) == 2


def test_tables_agree_with_interpolation_by_hand():
    table = Table(
        np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0]), np.array([[0.0, 4.0], [1.0, 5.0], [7.0, 15.0]])
    )
    for slew, load, value in [
        (0, 0, 0),
        (0.5, 0, 0.5),
        (2, 0, 4),
        (1, 1, 3),
        (2, 1, 7),
        (4, 0, 10),
        (0, 3, 6),
        (-1, 0, -1),
    ]:
        assert table(slew, load) == pytest.approx(value), (slew, load)


def test_one_dimensional_tables_follow_their_own_axis(toy):
    (energy,) = toy["DFF"].pins["D"].internal
    assert energy.rise(0.5e-9, 0) == pytest.approx(0.004e-12)
    assert energy.rise(0.5e-9, 1e-12) == pytest.approx(0.004e-12)  # a pin's energy knows no load


@pytest.mark.parametrize(
    "text, error",
    [
        ("library (x) {\n cell (a) {\n  area : 1;\n  foo ( ;\n }\n}\n", r"bad\.lib:4: "),
        ("cell (a) { area : 1; }\n", r"^Liberty file must begin with a library, and .*bad\.lib does not$"),
        (
            'library (x) { time_unit : "1parsec"; }\n',
            r"^Attribute time_unit of .*bad\.lib must be a unit, not '1parsec'$",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, text, error):
    (tmp_path / "bad.lib").write_text(text)
    with pytest.raises(LibertyError, match=error):
        read_liberty(tmp_path / "bad.lib")


@pytest.mark.parametrize(
    "body, error",
    [
        ('pin (Y) { direction : output; function : "A &"; }', r"^Expression 'A &' of cell c in .*: "),
        ("area : wide;", r"^Attribute area of c of .* must be a number, not 'wide'$"),
        (
            'pin (Y) { timing () { related_pin : "A"; cell_rise (t) { values ("1, 2, 3"); } } }',
            r"^Table of cell c in .* has 3 values for axes of \[2\]$",
        ),
    ],
)
def test_bad_cells_are_named_when_they_are_looked_at(tmp_path, body, error):
    template = 'lu_table_template (t) { variable_1 : input_net_transition; index_1 ("1, 2"); }'
    (tmp_path / "bad.lib").write_text(f"library (x) {{ {template}\n cell (c) {{ {body} }} }}\n")
    library = read_liberty(tmp_path / "bad.lib")
    with pytest.raises(LibertyError, match=error):
        library["c"]


@needs_pdk
@pytest.mark.parametrize(
    "name, voltage, cells, inverter, capacitance",
    [
        ("sky130hd", 1.8, 428, "sky130_fd_sc_hd__inv_1", 2.3e-15),
        ("sg13g2", 1.2, 84, "sg13g2_inv_1", 2.87e-15),
        ("asap7", 0.7, 202, "INVx1_ASAP7_75t_R", 0.62e-15),
    ],
)
def test_real_libraries(name, voltage, cells, inverter, capacitance):
    library = load_pdk(name).library
    assert (library.voltage, len(library)) == (voltage, cells)
    cell = library[inverter]
    assert cell.pins[cell.inputs[0]].capacitance == pytest.approx(capacitance, rel=0.02)
    for cell in library.values():  # every table and expression makes sense
        assert cell.area >= 0
        for pin in cell.pins.values():
            for power in pin.internal:
                for table in (power.rise, power.fall):
                    assert table is None or np.isfinite(table(20e-12, 5e-15))


@needs_pdk
def test_energy_of_a_memory_is_in_picojoules():
    pdk = load_pdk("ihp-sg13g2")
    macro = "RM_IHPSG13_1P_256x64_c2_bm_bist"
    cell = read_liberty(pdk.sram_liberty(macro))[macro]
    reads = [
        power.rise(0, 0)
        for power in cell.pins["A_CLK"].internal
        if power.when({"A_MEN": 1, "A_REN": 1, "A_WEN": 0}) & 1
    ]
    assert reads == [pytest.approx(49.634e-12)]
    assert cell.memory and cell.area == pytest.approx(93180.5344)
