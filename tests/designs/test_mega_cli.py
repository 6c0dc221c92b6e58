"""The command line of Mega: what it leaves, what it says, and how it fails."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from designs.mega.cli import DEFAULT_NETWORK, app
from neurogen.flow import job, pipeline, results
from neurogen.flow.event_files import load_events, save_events
from neurogen.flow.tools import ToolError
from neurogen.frontend.digits import load_digits_events
from neurogen.golden.network import run
from neurogen.spec.network import Network
from tests.networks import random_network


ROOT = Path(__file__).parents[2]
DIGITS_NIR = DEFAULT_NETWORK.with_suffix(".nir")


def mega(*arguments, status=0):
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in arguments], prog_name="mega")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def fails(*arguments):
    """Run a command that must fail with one line; return the line."""
    result = mega(*arguments, status=1)
    lines = [line for line in result.stderr.splitlines() if not line.endswith(" ...")]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0].removeprefix("error: ")


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    """Folder and output of a verified simulation of the digits on the smallest configuration."""
    folder = tmp_path_factory.mktemp("sim") / "out"
    return folder, mega("build", "--target", "sim", "--config", "mini", "--samples", 4, "--out", folder)


# -- What commands leave ------------------------------------------------------------------------------


def test_verilog(tmp_path):
    out = tmp_path / "out"
    mega("build", "--target", "verilog", "--config", "mini", "--out", out)
    assert "module mega(" in (out / "mega.v").read_text()
    plan = json.loads((out / "plan.json").read_text())
    manifest = json.loads((out / "manifest.json").read_text())
    with np.load(out / "plan.npz") as archive:
        images = dict(archive)
    assert plan["network"] == manifest["network"] == Network.load(DEFAULT_NETWORK).digest
    words = [int(word, 16) for word in (out / "pass0.program.hex").read_text().split()]
    assert words == images["pass0.program"].tolist()
    weights = np.array([int(word, 16) for word in (out / "pass0.weights.hex").read_text().split()], np.uint8)
    assert (weights.view(np.int8) == images["pass0.weights"].ravel()).all() and weights.any()
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir()
             if path.name != "manifest.json"}
    assert manifest["outputs"] == found
    assert manifest["inputs"]["network: digits.npz"] == sha256(DEFAULT_NETWORK.read_bytes()).hexdigest()
    assert list(manifest["inputs"]) == ["network: digits.npz", "configuration: mini.yaml"]
    report = json.loads((out / "report.json").read_text())
    assert "verify" not in report and all(layer["cycles"] is None for layer in report["layers"])


def test_the_report_of_a_simulation_agrees_with_the_golden_model(sim):
    folder, result = sim
    report = json.loads((folder / "report.json").read_text())
    network = Network.load(DEFAULT_NETWORK)
    recordings, labels = load_digits_events("test", 4)
    golden = [run(network, {"input": events}) for events in recordings]
    for layer in report["layers"]:
        synapses = [edge.source for edge in network.sources(layer["name"])]
        for key, values in (("events", "events_in"), ("sops", "sops")):
            assert layer[key] == sum(int(getattr(g, values)[s].sum()) for g in golden for s in synapses)
        assert layer["spikes"] == sum(int(g.spike_counts[layer["name"]].sum()) for g in golden)
        assert layer["bound_cycles"] <= layer["cycles"]
        peak = 9 * report["config"]["lanes"]
        assert layer["utilisation"] == pytest.approx(layer["sops"] / layer["cycles"] / peak)
    right = sum(int(g.spikes["lif3"].counts().sum(0).argmax() == label)
                for g, label in zip(golden, labels, strict=True))
    assert report["accuracy"]["golden"] == report["accuracy"]["RTL"] == {"correct": right, "total": 4}
    assert report["verify"]["passed"] and report["verify"]["samples"] == 4
    assert report["raster"]["lif1"]["t"] == golden[0].spikes["lif1"].t.tolist()
    assert report["peak_memory"] > 10e6 and report["wall_time"] > 0
    assert [row["name"] for row in report["quantisation"]["layers"]] == ["lif1", "lif2", "lif3"]
    assert "PASS" in result.stdout and "lif2" in result.stdout


def test_a_report_is_shown_and_drawn_anew(sim):
    folder, _ = sim
    page = (folder / "report.html").read_text()
    (folder / "report.html").write_text("")
    assert "PASS" in mega("report", folder).stdout
    assert (folder / "report.html").read_text() == page


def test_run_gives_the_same_spikes_on_both_engines_and_reads_its_own_files(tmp_path):
    events = load_digits_events("test", 2)[0][1]
    save_events(tmp_path / "in.npz", {"input": events})
    for engine in ("rtl", "golden"):
        output = mega("run", "--config", "mini", "--events", tmp_path / "in.npz", "--engine", engine, "--out",
                      tmp_path / f"{engine}.npz").stdout
        assert "SOPs" in output
    with np.load(tmp_path / "rtl.npz") as first, np.load(tmp_path / "golden.npz") as second:
        rtl, golden = dict(first), dict(second)
    assert len(golden["t"]) > 0
    assert all((rtl[key] == golden[key]).all() for key in ("t", "index", "shape", "steps"))
    network = Network.load(DEFAULT_NETWORK)
    expected = run(network, load_events(tmp_path / "in.npz", network)).spikes["lif3"]
    assert (golden["t"] == expected.t).all() and (golden["index"] == expected.index).all()
    mega("run", "--config", "mini", "--events", tmp_path / "in.npz", "--engine", "golden", "--out",
         tmp_path / "spikes.csv")
    assert len((tmp_path / "spikes.csv").read_text().splitlines()) == 1 + len(expected)


def test_verify_imports_nir_and_reports_the_quantisation(tmp_path):
    out = tmp_path / "out"
    mega("verify", "--network", DIGITS_NIR, "--config", "mini", "--samples", 2, "--out", out)
    report = json.loads((out / "report.json").read_text())
    layers = {row["name"]: row for row in report["quantisation"]["layers"]}
    assert layers["lif1"]["weight_bits"] == 6 and layers["lif1"]["sqnr_db"] > 20
    assert layers["lif1"]["spikes_differing"] is not None
    assert report["verify"]["spikes_compared"] > report["verify"]["samples"] * 16 * 10  # of all populations


def test_verify_without_digits_takes_random_events_and_says_so(tmp_path):
    network = random_network(5, kinds=frozenset({"dense"}), fraction_bits=0)
    network.save(tmp_path / "n.npz")
    (tmp_path / "c.yaml").write_text("lanes: 4\nweight_bits: 8\nstate_bits: 24\nstate_depth: 512\n"
                                     "weight_depth: 2048\nspike_depth: 512\nprogram_depth: 2048\n"
                                     "fraction_bits: [0, 2, 4, 6]\ncuba: true\nmax_pool_rows: 256\n")
    output = mega("run", "--network", tmp_path / "n.npz", "--config", tmp_path / "c.yaml", "--engine",
                  "golden")
    assert "spikes in 16 steps" in output.stdout
    prepared = job.prepare(network=tmp_path / "n.npz", config=tmp_path / "c.yaml", samples=3)
    assert len(prepared.samples.events) == 3 and "random" in prepared.samples.source


def test_a_difference_ends_with_status_1_and_the_first_one(monkeypatch, tmp_path):
    original = job.compile_network

    def broken(*arguments, **options):
        plan = original(*arguments, **options)
        part = plan.passes[0]
        weights = part.weights.copy()
        weights[tuple(np.argwhere(weights != 0)[0])] += 1
        return replace(plan, passes=(replace(part, weights=weights), *plan.passes[1:]))

    monkeypatch.setattr(job, "compile_network", broken)
    result = mega("verify", "--config", "mini", "--samples", 2, "--out", tmp_path / "out", status=1)
    assert "FAIL" in result.stdout and "first difference: " in result.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert not report["verify"]["passed"] and "must be" in report["verify"]["first_difference"]


@pytest.mark.slow  # a model of its own
def test_waveforms(tmp_path):
    mega("verify", "--config", "mini", "--samples", 1, "--trace", tmp_path / "waves.vcd")
    assert "$enddefinitions" in (tmp_path / "waves.vcd").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["waves.vcd"]


# -- Mistakes -----------------------------------------------------------------------------------------


def damaged(path, source, change):
    content = bytearray(source.read_bytes())
    path.write_bytes(change(content))
    return path


@pytest.mark.parametrize("arguments, message", [
    (["verify", "--network", "nothing.npz"], "Network file must exist"),
    (["verify", "--network", "nothing.nir"], "nothing.nir: file must exist"),
    (["verify", "--network", "a.txt"], "Network must be a .nir or .npz file, not a.txt"),
    (["verify", "--network", DIGITS_NIR, "--rule", "tea"], "Discretisation must be one of 'euler'"),
    (["verify", "--network", DIGITS_NIR, "--dt", "-1"], "dt must be a number of seconds above 0"),
    (["verify", "--config", "huge"], "one of mini, edge, default, wide, max, not 'huge'"),
    (["verify", "--board", "toaster"], "Board must be one of ulx3s-85f, "),
    (["verify", "--trace", "a.png"], "Waveforms must go to a .fst or .vcd file, not a.png"),
    (["run", "--out", "a.png"], "Spikes must go to a .npz or .csv file, not a.png"),
    (["run", "--events", "nothing.npz"], "Event file must exist, and nothing.npz does not"),
    (["run", "--events", "."], "Event file must exist, and . is a folder"),
    (["report", "nothing"], "Folder must hold the results of a build"),
    (["verify", "--network", DIGITS_NIR, "--multiplicity", "65536"], "between 1 and 65535, not 65536"),
    (["verify", "--network", DIGITS_NIR, "--multiplicity", str(10**25)], "between 1 and 65535, not 1000"),
    (["verify", "--network", DIGITS_NIR, "--multiplicity", "65535", "--config", "mini"],
     "Node 'lif1': state width must be at least"),
    (["verify", "--rule", "norse", "--weight-bits", "4"],
     "digits.npz is an integer network: nothing is left to decide for --rule, --weight-bits; give the .nir"),
    (["run", "--scale", "channel"], "nothing is left to decide for --scale"),
    (["build", "--target", "verilog", "--multiplicity", "2"], "nothing is left to decide for --multiplicity"),
    (["build", "--target", "asic", "--pdk", "gf180"], "PDK must be one of asap7, sg13g2/ihp"),
    (["build", "--target", "asic", "--pdk", "sky130", "--pdk-root", "."], "lacks sky130_fd"),
    (["build", "--target", "asic"], "needs --pdk, such as sky130 or ihp-sg13g2"),
])
def test_mistakes_are_one_line(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails(*arguments)


@pytest.mark.parametrize("suffix", [".nir", ".npz"])
@pytest.mark.parametrize("change", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b[:40] + b[::-1]],
                         ids=["truncated", "empty", "scrambled"])
def test_damaged_networks(tmp_path, suffix, change):
    path = damaged(tmp_path / f"n{suffix}", DEFAULT_NETWORK.with_suffix(suffix), change)
    assert str(path) in fails("verify", "--network", path, "--config", "mini")


def test_nan_weights_and_unknown_nodes_name_the_node(tmp_path):
    import h5py

    for edit, message in (("weight", "conv1"), ("type", "Teapot")):
        path = damaged(tmp_path / f"{edit}.nir", DIGITS_NIR, bytes)
        with h5py.File(path, "r+") as file:
            node = file["node/nodes/conv1"]
            if edit == "weight":
                node["weight"][0, 0, 0, 0] = np.nan
            else:
                del node["type"]
                node["type"] = "Teapot"
        assert message in fails("verify", "--network", path, "--config", "mini")


def test_a_network_that_is_too_large_says_what_would_fit(tmp_path):
    (tmp_path / "small.yaml").write_text("lanes: 2\nweight_bits: 6\nstate_bits: 12\nstate_depth: 64\n"
                                         "weight_depth: 16\nspike_depth: 64\n")
    line = fails("verify", "--config", tmp_path / "small.yaml")
    assert "weight rows (16 available)" in line and "would fit" in line


def test_bad_events_have_a_number(tmp_path):
    np.savez(tmp_path / "e.npz", t=[0, 1, 0], index=[0, 1, 2], shape=[1, 8, 8], steps=4)
    assert "Event 2 must not be earlier" in fails("run", "--config", "mini", "--events", tmp_path / "e.npz")


def test_a_missing_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "There is no C++ compiler on PATH" in fails("verify", "--config", "mini")


def test_results_never_replace_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "'thesis.txt'" in fails("build", "--target", "verilog", "--config", "mini", "--out", tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_earlier_results_with_a_new_file_among_them_stay(tmp_path):
    out = tmp_path / "out"
    with results.result_folder(out, {}) as folder:
        (folder / "a").write_text("1")
    with results.result_folder(out, {}) as folder:  # replaces its own
        (folder / "b").write_text("2")
    assert sorted(path.name for path in out.iterdir()) == ["b", "manifest.json"]
    (out / "notes.txt").write_text("mine")
    assert "'notes.txt'" in fails("build", "--target", "verilog", "--config", "mini", "--out", out)


def test_a_full_disk_keeps_the_earlier_results(monkeypatch, tmp_path):
    out = tmp_path / "out"
    with results.result_folder(out, {}) as folder:
        (folder / "earlier").write_text("whole")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, "write_plan", full)
    assert "the disk is full" in fails("build", "--target", "verilog", "--config", "mini", "--out", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_configuration_that_no_board_takes_is_refused_before_anything_slow(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "_verify", lambda *_: pytest.fail("verified what cannot be built"))
    line = fails("build", "--target", "fpga", "--config", "max", "--out", tmp_path / "out")
    assert line == ("Configuration for ulx3s-85f must do without external memory, and this one has it; "
                    "edge is the one for this board")
    assert not (tmp_path / "out").exists()


def test_inputs_of_one_name_have_their_own_hashes(tmp_path):
    events = load_digits_events("test", 1)[0][0]
    network = Path(tmp_path, "a", "digits.npz")
    network.parent.mkdir()
    network.write_bytes(DEFAULT_NETWORK.read_bytes())
    save_events(tmp_path / "digits.npz", {"input": events})
    prepared = job.prepare(network=network, config="mini", events=tmp_path / "digits.npz")
    assert prepared.hashes["network: digits.npz"] == results.file_hash(network)
    assert prepared.hashes["events: digits.npz"] == results.file_hash(tmp_path / "digits.npz")
    assert len(prepared.hashes) == len(set(prepared.hashes.values())) == 3


def test_missing_fpga_tools_are_one_line(monkeypatch, tmp_path):
    def missing(*_, **__):
        raise ToolError("nextpnr-ecp5 is not installed: run `pip install 'neurogen[fpga]'`")

    build = pytest.importorskip("fpga.build")
    monkeypatch.setattr(build, "check_buildable", missing)
    line = fails("build", "--config", "mini", "--samples", 1, "--out", tmp_path / "out")
    assert "nextpnr-ecp5 is not installed" in line and not (tmp_path / "out").exists()


def test_a_report_that_is_none(tmp_path):
    (tmp_path / "report.json").write_text('{"format": "neurogen.report", "version": 1, "layers": [3]}')
    assert "Report must be one that neurogen wrote" in fails("report", tmp_path)


def test_bugs_keep_their_traceback(monkeypatch):
    def bug(**_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("designs.mega.cli.prepare", bug)
    with pytest.raises(ZeroDivisionError):
        mega("verify")


def test_ctrl_c_is_one_line_and_keeps_the_earlier_results(tmp_path, sim):
    """In a process of its own, as a user would have it."""
    out = tmp_path / "out"
    with results.result_folder(out, {}) as folder:
        (folder / "earlier").write_text("whole")
    command = [sys.executable, "-m", "designs.mega", "build", "--target", "sim", "--config", "mini",
               "--samples", "360", "--out", str(out)]
    # A shell's background job ignores the interrupt, and so would everything that it starts.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, preexec_fn=listening) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("Verifying"):
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert lines[-1] == "error: interrupted; earlier results are untouched\n"
    assert "Traceback" not in "".join(lines)
    assert (out / "earlier").read_text() == "whole" and [p.name for p in tmp_path.iterdir()] == ["out"]
