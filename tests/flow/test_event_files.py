"""The reader of event files: strict, with the number of the bad event, and calm about hostile files."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogen.flow.event_files import MAX_STEPS, load_events, save_events
from neurogen.spec.dense import Dense
from neurogen.spec.events import EventError, Events
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Flatten


def network(shape=(2, 3, 4), names=("in",), multiplicity=1):
    nodes, edges = {}, []
    for name in names:
        nodes[name] = Input(shape=shape, max_multiplicity=multiplicity)
        nodes[f"flat_{name}"] = Flatten()
        nodes[f"fc_{name}"] = Dense(weight=np.ones((3, int(np.prod(shape))), np.int64))
        edges += [Edge(name, f"flat_{name}"), Edge(f"flat_{name}", f"fc_{name}"), Edge(f"fc_{name}", "out")]
    nodes["out"] = Lif(shape=(3,), threshold=5)
    return Network(nodes, tuple(edges), ("out",))


GOOD = {"t": [0, 0, 2], "c": [0, 1, 1], "y": [2, 0, 1], "x": [3, 0, 2], "shape": [2, 3, 4], "steps": 4}


def write(path, **arrays):
    np.savez(path, **{key: np.array(value) for key, value in arrays.items() if value is not None})
    return path


def test_coordinates_and_flat_addresses_are_the_same_recording(tmp_path):
    one = load_events(write(tmp_path / "a.npz", **GOOD), network())["in"]
    index = np.ravel_multi_index(([0, 1, 1], [2, 0, 1], [3, 0, 2]), (2, 3, 4))
    flat = {**GOOD, "index": index, "c": None, "y": None, "x": None}
    other = load_events(write(tmp_path / "b.npz", **flat), network())["in"]
    assert one.index.tolist() == other.index.tolist() == index.tolist() == [11, 12, 18]
    assert one.t.tolist() == [0, 0, 2] and one.steps == 4


@pytest.mark.parametrize("change, message", [
    ({"x": [3, 4, 2]}, r"Event 1 must have x from 0 to 3, not 4"),
    ({"y": [2, 0, -1]}, r"Event 2 must have y from 0 to 2, not -1"),
    ({"c": [0, 2, 1]}, r"Event 1 must have c from 0 to 1, not 2"),
    ({"t": [0, 2, 1]}, r"Event 2 must not be earlier than the one before it \(step 2\), not in step 1"),
    ({"t": [0, 0, 4]}, r"Event 2 must be in a step from 0 to 3, not 4"),
    ({"t": [-1, 0, 0]}, r"Event 0 must be in a step from 0 to 3, not -1"),
    ({"c": [0, 0, 1], "y": [2, 2, 1], "x": [3, 3, 2]},
     r"Event 1 must have an address that occurs at most once in a step"),
    ({"t": [0, 0]}, r"as many addresses as times, not 3 and 2"),
    ({"y": [2, 0]}, r"c, y and x must be vectors of one length"),
    ({"t": [0.0, 0.0, 1.0]}, r"array 't' must hold integers, not float64"),
    ({"t": None}, r"file must have the array 't'; it has c, shape, steps, x, y"),
    ({"x": None}, r"file must have the array 'x'"),
    ({"shape": [2, 4, 3]}, r"shape must be \(2, 3, 4\), the shape of input 'in', not \(2, 4, 3\)"),
    ({"steps": 0}, r"steps must be one number from 1 to"),
    ({"steps": MAX_STEPS + 1}, r"steps must be one number from 1 to"),
    ({"t": np.array([0, 0, 2], object)}, r"must hold integers, not object"),
    ({"t": np.array([0, 0, 1 << 63], np.uint64)}, r"must be below 2\*\*63"),
])
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(EventError, match=message):
        load_events(write(tmp_path / "bad.npz", **{**GOOD, **change}), network())


def test_repeats_up_to_the_multiplicity_are_events(tmp_path):
    file = {**GOOD, "t": [1, 1, 1], "c": [0, 0, 0], "y": [2, 2, 2], "x": [3, 3, 3]}
    write(tmp_path / "e.npz", **file)
    assert len(load_events(tmp_path / "e.npz", network(multiplicity=3))["in"]) == 3
    with pytest.raises(EventError, match="Event 2 must have an address that occurs at most 2 times"):
        load_events(tmp_path / "e.npz", network(multiplicity=2))


def test_two_inputs_have_prefixes(tmp_path):
    events = {name: Events((2, 3, 4), 5, [k], [k]) for k, name in enumerate(("left", "right"))}
    save_events(tmp_path / "e.npz", events)
    found = load_events(tmp_path / "e.npz", network(names=("left", "right")))
    assert [found[name].index.tolist() for name in events] == [[0], [1]]
    save_events(tmp_path / "e.npz", {"left": events["left"]})
    with pytest.raises(EventError, match=r"must have the array 'left\.shape'"):
        load_events(tmp_path / "e.npz", network(names=("left", "right")))


def test_the_shorter_of_two_recordings_is_an_error(tmp_path):
    save_events(tmp_path / "e.npz", {name: Events((2, 3, 4), steps, [], []) for name, steps in
                                     (("left", 5), ("right", 6))})
    with pytest.raises(EventError, match=r"same number of steps, not \[5, 6\]"):
        load_events(tmp_path / "e.npz", network(names=("left", "right")))


def test_csv(tmp_path):
    save_events(tmp_path / "e.csv", {"in": Events((2, 3, 4), 3, [0, 2], [11, 23])})
    assert (tmp_path / "e.csv").read_text().splitlines() == ["population,t,c,y,x", "in,0,0,2,3", "in,2,1,2,3"]


def test_a_huge_array_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("shape.npy", "w", force_zip64=True) as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(EventError, match="must have at most"):
        load_events(tmp_path / "bomb.npz", network())


def test_a_header_that_promises_more_than_the_file_holds(tmp_path):
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("shape.npy", data)
    with pytest.raises(EventError, match=r"must be a readable \.npz file"):
        load_events(tmp_path / "e.npz", network())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_errors_or_recordings(tmp_path_factory, data):
    buffer = io.BytesIO()
    np.savez(buffer, **{key: np.array(value) for key, value in GOOD.items()})
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[:data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path = tmp_path_factory.mktemp("fuzz") / "e.npz"
    path.write_bytes(content)
    try:
        assert load_events(path, network())["in"].steps >= 1
    except EventError as error:
        assert "\n" not in str(error)
