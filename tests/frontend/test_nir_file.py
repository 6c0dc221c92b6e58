"""The reader of ``.nir`` files: what it takes, and that everything else is one clear error."""

import random

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurogen.frontend import nir_file
from neurogen.frontend.nir_file import NODE_TYPES, NirError, read_nir
from tests.frontend.fuzz_nir import mutate_structure, run_case
from tests.frontend.graphs import braille, conv, integrate_and_fire, lif, write_nir


def test_nested_graphs_are_inlined(tmp_path):
    graph = read_nir(braille(tmp_path / "b.nir"))
    assert graph.version == "1.0.8"
    assert {"rec.input", "rec.lif", "rec.w", "rec.output"} < graph.nodes.keys()
    assert ("fc1", "rec.input") in graph.edges
    assert ("rec.output", "scale") in graph.edges
    assert graph.nodes["fc1"].params["weight"].dtype == np.float64


def test_a_separate_process_reads_the_same(tmp_path):
    path = braille(tmp_path / "b.nir")
    here, there = read_nir(path, isolated=False), read_nir(path)
    assert (here.edges, here.version, here.source) == (there.edges, there.version, there.source)
    assert here.nodes.keys() == there.nodes.keys()
    for name, node in here.nodes.items():
        assert node.type == there.nodes[name].type
        assert node.params.keys() == there.nodes[name].params.keys()
        for key, value in node.params.items():
            np.testing.assert_array_equal(value, there.nodes[name].params[key])


def test_every_node_of_the_nir_package_is_known():
    theirs = {cls.__name__ for cls in vars(nir.ir).values()
              if isinstance(cls, type) and issubclass(cls, nir.NIRNode)} - {"NIRNode", "NIRGraph"}
    assert theirs == NODE_TYPES.keys()


def test_what_the_nir_package_writes_is_read(tmp_path):
    nodes = {"input": nir.Input({"input": np.array([2, 6, 6])}),
             "conv": nir.Conv2d((6, 6), np.ones((3, 2, 3, 3)), 1, "same", 1, 1, np.zeros(3)),
             "lif": nir.LIF(*(np.ones((3, 6, 6)) for _ in range(4))),
             "output": nir.Output({"output": np.array([3, 6, 6])})}
    edges = [("input", "conv"), ("conv", "lif"), ("lif", "output")]
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph = read_nir(tmp_path / "n.nir", isolated=False)
    assert graph.nodes["conv"].params["padding"] == "same"
    assert graph.nodes["lif"].params["v_reset"].shape == (3, 6, 6)
    assert sorted(graph.edges) == sorted(edges)


def refuse(path, message, **options):
    with pytest.raises(NirError) as caught:
        read_nir(path, **({"isolated": False} | options))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_and_foreign_files_are_refused(tmp_path):
    refuse(tmp_path / "gone.nir", "file must exist")
    (tmp_path / "text.nir").write_text("not HDF5")
    refuse(tmp_path / "text.nir", "file must be a readable HDF5 file")
    refuse(tmp_path / "text.nir", "file must be a readable HDF5 file", isolated=True)
    data = braille(tmp_path / "b.nir").read_bytes()
    (tmp_path / "b.nir").write_bytes(data[:len(data) // 2])
    refuse(tmp_path / "b.nir", "file must be a readable HDF5 file")
    with h5py.File(tmp_path / "h.nir", "w"):
        pass
    refuse(tmp_path / "h.nir", "node is missing")


BASE = {"in": ("Input", {"shape": [1]}), "w": ("Linear", {"weight": [[1.0]]}), "n": lif(1)}


@pytest.mark.parametrize(("change", "message"), [
    ({"w": ("Linear", {"weight": [[np.nan]]})}, "node 'w': weight must be finite, and 1 of 1 values are not"),
    ({"w": ("Linear", {"weight": [[np.inf]]})}, "node 'w': weight must be finite, and 1 of 1 values are not"),
    ({"w": ("Linear", {"weight": "abc"})}, "node 'w': weight must be numbers, not object"),
    ({"w": ("Linear", {"weight": np.zeros((0, 1))})}, "node 'w': weight must not be empty"),
    ({"w": ("Linear", {})}, "node 'w': weight is missing"),
    ({"w": ("Softmax", {})}, "node 'w': type must be one of Input, Output, Affine"),
    ({"in": ("Input", {"shape": [1.5]})}, "node 'in': shape must be integers, not [1.5]"),
    ({"in": ("Input", {"shape": [2**40]})}, "node 'in': shape must be a few integers below 2**31"),
])
def test_bad_parameters_name_their_node(tmp_path, change, message):
    refuse(write_nir(tmp_path / "x.nir", BASE | change), message)


def test_bad_edges_are_refused(tmp_path):
    refuse(write_nir(tmp_path / "x.nir", BASE, [("in", "w"), ("w", "gone")]),
           "edge 'gone' <- 'w' must name nodes of its graph, and 'gone' is none")
    refuse(write_nir(tmp_path / "y.nir", BASE, [("in", "w"), ("in", "w")]),
           "edge 'in' -> 'w' must not be there twice")


def test_links_are_not_followed(tmp_path):
    other = write_nir(tmp_path / "other.nir", BASE)
    weight = "/node/nodes/w/weight"
    for link in (h5py.ExternalLink(other.name, weight), h5py.SoftLink(weight)):
        path = write_nir(tmp_path / "x.nir", BASE)
        with h5py.File(path, "r+") as file:
            del file["node/nodes/w/weight"]
            file["node/nodes/w/weight"] = link
        refuse(path, f"node 'w': weight must be in the file, not a {type(link).__name__}")


def test_sizes_are_checked_before_anything_is_read(tmp_path):
    path = write_nir(tmp_path / "x.nir", BASE)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/w/weight"]
        file["node/nodes/w"].create_dataset("weight", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(64, 64))
    assert path.stat().st_size < 100_000
    refuse(path, f"node 'w': weight must take at most {nir_file.MAX_BYTES} bytes, not {1 << 43}")


def test_a_graph_that_holds_itself_is_refused(tmp_path):
    path = write_nir(tmp_path / "x.nir", BASE)
    with h5py.File(path, "r+") as file:
        file["node/nodes/again"] = file["node"]
    refuse(path, f"graphs must be nested at most {nir_file.MAX_DEPTH} deep")


def test_a_hanging_reader_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(nir_file, "TIMEOUT", 0.5)
    monkeypatch.setattr(nir_file, "_WORKER", "while True: pass")
    refuse(braille(tmp_path / "b.nir"), "file must be readable within 0.5 s; it is damaged", isolated=True)
    monkeypatch.setattr(nir_file, "_WORKER", "import os; os.abort()")
    monkeypatch.setattr(nir_file, "TIMEOUT", 30)
    refuse(braille(tmp_path / "b.nir"), "the reader ended with status -6", isolated=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_structural_damage_is_imported_or_refused(tmp_path, seed):
    path = braille(tmp_path / "s.nir")
    mutate_structure(path, random.Random(seed))
    assert run_case(path, random.Random(seed)) in (
        "imported", "refused by read", "refused by discretise", "refused by simulate")


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 20), damage=st.binary(min_size=1, max_size=16))
def test_damaged_bytes_are_imported_or_refused(tmp_path, at, damage):
    path = braille(tmp_path / "d.nir")
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at:at + len(damage)] = damage
    path.write_bytes(data)
    run_case(path, random.Random(at), isolated=True)  # anything but NirError comes out of it


def test_the_examples_of_these_tests_are_not_all_refused(tmp_path):
    nodes = {"in": ("Input", {"shape": [1, 4, 4]}), "c": conv(np.ones((1, 1, 3, 3)), padding=1),
             "n": integrate_and_fire((1, 4, 4)), "out": ("Output", {"shape": [1, 4, 4]})}
    for path in (braille(tmp_path / "b.nir"), write_nir(tmp_path / "c.nir", nodes)):
        assert run_case(path, random.Random(1)) == "imported"
