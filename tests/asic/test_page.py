import json
import re

import pytest

from asic.__main__ import main
from asic.page import add_run, write_page
from asic.treemap import draw_treemap, squarify, treemap
from neurogen.flow.errors import UserError


AREAS = {
    "chip": 1000.0,
    "chip.core": 700.0,
    "chip.core.alu": 200.0,
    "chip.core.store": 450.0,
    "chip.link": 100.0,
}
MACROS = {"chip.core.store.memory.0": 250.0, "chip.core.store.memory.1": 150.0}
OFF = {"status": "not run", "reason": "nobody did"}


def build(**changes):
    area = {
        "area_um2": 1000.0,
        "logic_um2": 400.0,
        "sequential_um2": 200.0,
        "sram_um2": 400.0,
        "cell_count": 99,
        "registers": 12,
        "clock_gates": 1,
        "corner": "typ",
        "script": "plain",
        "flat": True,
        "stage": "after synthesis, before placement",
        "memories": [
            {
                "memory": f"chip.core.store{n}",
                "words": 64,
                "bits": 8,
                "reads": 1,
                "writes": 1,
                "chosen": {"RAM": 2},
                "candidates": [
                    {
                        "macro": "RAM",
                        "tiles": 2,
                        "area_um2": 400.0,
                        "read_pJ": 7.25,
                        "write_pJ": 9.5,
                        "access_ns": 3.0,
                        "energy_usable": True,
                    },
                    {"macro": "flip-flops", "area_um2": 9999.0},
                ],
            }
            for n in range(3)
        ],
    }
    return {
        "top": "chip",
        "pdk": "Toy",
        "period": 1e-8,
        "area": area,
        "energy": OFF,
        "timing": OFF,
        "components": {"areas": AREAS, "macros": MACROS, "flat": False},
        "librelane": OFF,
        "gates": None,
        "equivalence": OFF,
        "macros": {"m": "RAM"},
        "die": (100, 200),
        "commands": {"orfs": "make it"},
        "seconds": {"synthesise": 1.5},
        "versions": {"neurogen": "0"},
        "hashes": {"a.v": "cafe"},
        **changes,
    }


@pytest.mark.parametrize("areas", [[1.0], [6, 6, 4, 3, 2, 2, 1], [100, 1, 1], [5] * 30])
@pytest.mark.parametrize(("width", "height"), [(6, 4), (4, 6), (100, 1)])
def test_rectangles_fill_the_given_one_and_do_not_overlap(areas, width, height):
    found = list(squarify(areas, 3, 5, width, height))
    assert [w * h for _, _, w, h in found] == pytest.approx([a * width * height / sum(areas) for a in areas])
    for n, (x, y, w, h) in enumerate(found):
        assert x >= 3 - 1e-9 and y >= 5 - 1e-9 and x + w <= 3 + width + 1e-9 and y + h <= 5 + height + 1e-9
        for u, v, s, t in found[:n]:
            assert min(x + w, u + s) - max(x, u) < 1e-9 or min(y + h, v + t) - max(y, v) < 1e-9


def test_published_example_of_the_treemap():
    """The example of Bruls, Huizing and van Wijk: 6 6 4 3 2 2 1 in 6 by 4."""
    found = list(squarify([6, 6, 4, 3, 2, 2, 1], 0, 0, 6, 4))
    assert found[0][2:] == pytest.approx((3, 2)) and found[1][2:] == pytest.approx((3, 2))
    assert found[2][2:] == pytest.approx((12 / 7, 7 / 3)) and found[3][2:] == pytest.approx((9 / 7, 7 / 3))


def test_treemap_has_all_area_once():
    boxes = treemap(AREAS, MACROS)
    own = {box.path: box.area for box in boxes if box.kind == "own"}
    assert own == {"chip": 200.0, "chip.core": 50.0, "chip.core.store": 50.0}
    leaves = sum(
        box.area for box in boxes if box.kind in ("own", "sram") or box.path in ("chip.core.alu", "chip.link")
    )
    assert leaves == 1000.0
    assert "chip.core.store.memory.1: 150 µm², 15.0 %" in draw_treemap(AREAS, MACROS)


def test_what_has_not_been_run_says_so_and_is_no_zero(tmp_path):
    text = write_page(tmp_path, build()).read_text()
    assert text.count("not run: nobody did") == 4
    assert "0 %" not in re.sub(r"<style>.*</style>|<svg.*</svg>", "", text, flags=re.DOTALL)
    assert "MHz" not in text and "pJ/SOP" not in text
    assert "asic report --from RUNDIR" in text
    assert not re.search(r"(src|href)=.(?!data:)", text)  # it loads nothing
    assert "and 2 alike" in text and "7.2 pJ" in text and "400 µm²" in text


def test_figures_are_those_that_were_found(tmp_path):
    energy = {
        "status": "run",
        "unit": "pJ/SOP",
        "note": "toy",
        "rows": [
            {"name": "dense", "parts": {"logic": 3.0, "clock": 1.0}},
            {"name": "thin", "parts": {"logic": 1.0}},
        ],
    }
    corner = {"setup": 1.5e-9, "hold": -2e-10, "registers": 5e-9, "shortest_period": 5e-9, "path": "a <to> b"}
    text = write_page(
        tmp_path,
        build(
            energy=energy,
            timing={
                "status": "run",
                "period": 1e-8,
                "wires": "none",
                "clock": "ideal",
                "corners": {"typ": corner},
            },
            gates={"values": 10, "mismatches": 0, "cycles": 5, "undefined": 1},
            librelane={"status": "accepted", "variables": 410, "warnings": ["odd thing"]},
            equivalence={
                "status": "proved",
                "source": "words",
                "registers": 12,
                "outputs": 3,
                "pins": 4,
                "undecided": 0,
                "failed": [],
                "seconds": 1.0,
            },
        ),
    ).read_text()
    assert "200 MHz" in text and "-0.20 ns" in text and "a &lt;to&gt; b" in text
    assert "4 pJ/SOP" in text and "width:75.00%" in text and "width:25.00%" in text
    assert (
        "netlist = RTL in 10 values" in text
        and "LibreLane accepts it, 1 warnings" in text
        and "odd thing" in text
    )


def test_figures_of_a_run_and_a_picture_are_added(tmp_path, capsys):
    page, run = tmp_path / "asic", tmp_path / "run"
    page.mkdir()
    run.mkdir()
    write_page(page, build())
    before = json.loads((page / "report.json").read_text())
    metrics = {
        name: n + 0.5
        for n, name in enumerate(
            (
                "design__instance__area",
                "design__core__area",
                "design__instance__count",
                "design__instance__utilization",
                "timing__setup__ws",
                "timing__hold__ws",
                "power__total",
                "route__wirelength",
                "route__drc_errors",
            )
        )
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    picture = tmp_path / "chip.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\nrest")
    main(["report", "--from", str(run), "--page", str(page), "--picture", str(picture)])
    assert f"page: {page}/report.html" in capsys.readouterr().out
    text = (page / "report.html").read_text()
    assert (
        "setup slack ns</td>" in text and ">4.5<" in text and "data:image/png;base64,iVBORw0KGgpyZXN0" in text
    )
    after = json.loads((page / "report.json").read_text())
    assert after["run"]["setup_slack_ns"] == 4.5 and {key: after[key] for key in before} == before


def test_bad_folders_and_pictures_are_refused(tmp_path, capsys):
    with pytest.raises(UserError, match=r"^Folder of a page must be the asic folder of a build"):
        add_run(tmp_path, run={})
    write_page(tmp_path, build())
    (tmp_path / "p.png").write_text("GIF")
    with pytest.raises(UserError, match=r"^Picture of a layout must be a PNG file, and .*p\.png is not$"):
        add_run(tmp_path, picture=tmp_path / "p.png")
    with pytest.raises(UserError, match=r"^Cannot read .*none\.png: No such file"):
        add_run(tmp_path, picture=tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"^Page of a build must have timing, and does not$"):
        write_page(tmp_path, {key: value for key, value in build().items() if key != "timing"})
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(UserError, match=r"with its report\.json"):
        add_run(tmp_path, run={})
