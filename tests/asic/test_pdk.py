import gzip

import pytest

from asic.pdk import PdkError, describe_pdks, find_root, load_pdk, pdk_names
from tests.asic.toy import FOLDER, needs_pdk, require, toy_pdk


LIBS = ["sg13g2_stdcell_typ_1p20V_25C.lib"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PDK_ROOT", raising=False)
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_names_and_descriptions():
    assert pdk_names() == ("asap7", "sg13g2", "sky130hd")
    for name, data in describe_pdks().items():
        assert data["name"] == name
        assert set(data["cells"]) == {
            "clock_gate",
            "tie_high",
            "tie_low",
            "buffer",
            "driver",
            "clock_buffer",
            "avoid",
        }


def test_unknown_kits_are_refused_with_a_list(root):
    with pytest.raises(
        PdkError,
        match=r"^PDK must be one of asap7, sg13g2/ihp-sg13g2, sky130hd/sky130/sky130A, "
        r"not 'gf180'$",
    ):
        load_pdk("gf180", root)


def test_missing_files_are_named(root):
    with pytest.raises(PdkError, match=rf"lacks {LIBS[0].replace('.', '[.]')} "):
        load_pdk("sg13g2", root)


def test_root_must_be_known_and_a_folder(root):
    with pytest.raises(
        PdkError, match=r"^PDK root is not known: give --pdk-root, or set the environment variable PDK_ROOT$"
    ):
        load_pdk("sg13g2")
    with pytest.raises(PdkError, match=r"^PDK root must be a folder, and .*nowhere is not one$"):
        load_pdk("sg13g2", root / "nowhere")


@pytest.mark.parametrize("folder", ["sg13g2", "ihp-sg13g2/libs.ref/sg13g2_stdcell/lib"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_are_found_in_both_layouts(root, folder, packed, monkeypatch):
    (root / folder).mkdir(parents=True)
    content = (FOLDER / "toy.lib").read_bytes()
    name = LIBS[0] + (".gz" if packed else "")
    (root / folder / name).write_bytes(gzip.compress(content) if packed else content)
    monkeypatch.setenv("PDK_ROOT", str(root))
    pdk = load_pdk("ihp-sg13g2")
    (path,) = pdk.liberty_files()
    assert path.suffix == ".lib" and path.read_bytes() == content
    assert pdk.liberty_files("typ") == (path,)  # the copy is made once
    assert pdk.available_corners() == ("typ",)
    with pytest.raises(PdkError, match="lacks sg13g2_stdcell_slow"):
        pdk.liberty_files("slow")
    with pytest.raises(PdkError, match=r"^Corner of sg13g2 must be one of typ, slow, fast, not 'hot'$"):
        pdk.liberty_files("hot")


def test_damaged_archives_are_named(root):
    (root / "sg13g2").mkdir()
    (root / "sg13g2" / f"{LIBS[0]}.gz").write_bytes(gzip.compress(b"x" * 1000)[:-20])
    with pytest.raises(PdkError, match=r"^File of a PDK must be a whole .gz file, not .*lib.gz: "):
        load_pdk("sg13g2", root).liberty_files()


def test_root_follows_the_environment(root, monkeypatch):
    (root / "pdk").mkdir()
    monkeypatch.setenv("NEUROGEN_DATA", str(root))
    assert find_root() == root / "pdk"
    monkeypatch.setenv("PDK_ROOT", str(root))
    assert find_root() == root


def test_cells_are_avoided_by_pattern():
    toy = toy_pdk()
    assert toy.avoided("ICG") and not toy.avoided("INV")
    assert toy.clock_gate.enable == "E" and len(toy.macros) == 3


def test_library_is_that_of_the_first_corner():
    require("libparse")
    assert set(toy_pdk().library) >= {"INV", "DFF", "ICG"}


@needs_pdk
@pytest.mark.parametrize("name", pdk_names())
def test_named_cells_exist_in_the_real_kits(name):
    require("libparse")
    pdk = load_pdk(name)
    library, cells = pdk.library, pdk.data["cells"]
    for role in ("tie_high", "tie_low", "buffer", "driver", "clock_buffer"):
        cell, *pins = cells[role]
        assert set(pins) <= set(library[cell].pins), role
    gate = pdk.clock_gate
    assert {gate.enable, gate.clock, gate.gated, *gate.low} <= set(library[gate.cell].pins)
    assert library[gate.cell].clock_gate
    assert any(cell.storage for key, cell in library.items() if not pdk.avoided(key))
    for macro in pdk.macros:
        assert pdk.find(pdk.data["sram"]["lef"].format(macro=macro.name)), macro
        assert pdk.sram_liberty(macro.name).is_file()
