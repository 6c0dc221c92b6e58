import io
import json
import re
import zipfile
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network, NetworkError
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool
from tests.networks import random_network


NODES = {"in": Input(shape=(3,)), "w": Dense(weight=[[1, -2, 3], [4, 5, -6]]),
         "n": Lif(shape=(2,), threshold=5)}
EDGES = (Edge("in", "w"), Edge("w", "n"))
GOOD = Network(NODES, EDGES, ("n",))
MAP = Input(shape=(1, 4, 4))
BACK = Dense(weight=[[1, 1], [1, 1]])


def network(nodes=None, edges=None, outputs=("n",)):
    return Network(NODES if nodes is None else nodes, EDGES if edges is None else edges, outputs)


@pytest.mark.parametrize("change, message", [
    ({"edges": (*EDGES, Edge("in", "x"))},
     "Edge 'in' -> 'x' must connect nodes of the network, and 'x' is none"),
    ({"edges": (*EDGES, Edge("w", "in"))}, "Node 'in': an input must have no incoming edge"),
    ({"edges": EDGES[:1]}, "Node 'n' must have an incoming edge"),
    ({"edges": (*EDGES, Edge("in", "n"))},
     "Node 'n' must receive currents (of a Conv or Dense), which 'in' does not give"),
    ({"edges": (*EDGES, Edge("w", "w"))}, "Node 'w' must receive events, which 'w' does not give"),
    ({"edges": (EDGES[0], Edge("w", "n", 1))},
     "Edge 'w' -> 'n': only events can be delayed; put the delay before 'w'"),
    ({"nodes": {**NODES, "r": BACK}, "edges": (*EDGES, Edge("n", "r"), Edge("r", "n"))},
     "Every cycle must hold an edge with a delay; there is none among 'n', 'r'"),
    ({"nodes": {**NODES, "a": Flatten(), "v": BACK},
      "edges": (*EDGES, Edge("a", "a", 1), Edge("a", "v"), Edge("v", "n"))},
     "Every cycle must pass through a population; 'a' is in one that does not"),
    ({"nodes": {**NODES, "n": Lif(shape=(4,), threshold=5)}},
     "Node 'n' must receive shape (4,), not (2,) of 'w'"),
    ({"nodes": {**NODES, "w": Dense(weight=[[1], [2]])}},
     "Node 'w': Input of the dense layer must have shape (1,), not (3,)"),
    ({"nodes": {**NODES, "b": Input(shape=(4,))}, "edges": (*EDGES, Edge("b", "w"))},
     "Node 'w' must receive streams of one shape, not [(3,), (4,)]"),
    ({"nodes": {**NODES, "m": MAP, "m2": Input(shape=(1, 4, 5)), "c": Concat()},
      "edges": (*EDGES, Edge("m", "c"), Edge("m2", "c"))},
     "Node 'c' must receive maps of one size, not [(1, 4, 4), (1, 4, 5)]"),
    ({"nodes": {**NODES, "p": SumPool(size=2)}, "edges": (*EDGES, Edge("in", "p"))},
     "Node 'p': Input of a pool of size 2 must be a map that holds a window, not (3,)"),
])
def test_networks_that_cannot_be(change, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        network(**change)


@pytest.mark.parametrize("change, message", [
    ({"outputs": ("x",)}, "'x'"),
    ({"outputs": ("in",)}, "'in'"),
    ({"outputs": ()}, "output"),
    ({"nodes": {**NODES, "z": 3}}, "'z'"),
])
def test_networks_of_wrong_parts_are_refused_by_name(change, message):
    with pytest.raises(NetworkError, match=message):
        network(**change)


@pytest.mark.parametrize("call, error, message", [
    (lambda: Input(shape=(0,)), ValueError, "Input size must be at least 1, not 0"),
    (lambda: Input(shape=(2, 2)), ValueError, "Input shape must be (N,) or (C, H, W), not (2, 2)"),
    (lambda: Input(shape=(2,), max_multiplicity=0), ValueError,
     "Input multiplicity must be between 1 and 65535, not 0"),
    (lambda: Edge("a", "b", -1), ValueError, "Edge delay must be between 0 and 255 steps, not -1"),
    (lambda: Edge("a", "b", 256), ValueError, "Edge delay must be between 0 and 255 steps, not 256"),
    (lambda: Edge("", "b"), TypeError, "Edge source must be a non-empty string, not ''"),
    (lambda: Edge("a", 3), TypeError, "Edge target must be a non-empty string, not 3"),
])
def test_parts_out_of_range(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_order_and_shapes():
    net = Network(
        {"n": Lif(shape=(5, 2, 2), threshold=9), "w": Conv(weight=np.ones((5, 2, 1, 1), int)),
         "c": Concat(), "p": MaxPool(size=2), "b": MAP, "a": MAP, "f": Flatten()},
        (Edge("a", "c"), Edge("b", "c"), Edge("c", "p"), Edge("p", "w"), Edge("w", "n"),
         Edge("n", "f")), ("n",))
    assert net.order.index("c") < net.order.index("p") < net.order.index("w") < net.order.index("n")
    assert net.shapes == {"n": (5, 2, 2), "w": (5, 2, 2), "c": (2, 4, 4), "p": (2, 2, 2), "b": (1, 4, 4),
                          "a": (1, 4, 4), "f": (20,)}
    assert net.inputs == ("b", "a")
    assert net.populations == ("n",)


def test_multiplicities_by_hand():
    multi = Lif(shape=(1, 4, 4), threshold=20, state_bits=8, v_lo=0, v_hi=0, multi_spike=True)
    point = Conv(weight=np.ones((1, 1, 1, 1), int))
    net = Network(
        {"in": replace(MAP, max_multiplicity=3), "s": SumPool(size=2), "m": MaxPool(size=2), "c": Concat(),
         "w": point, "n": multi, "f": Flatten()},
        (Edge("in", "s"), Edge("in", "s", 1), Edge("in", "m"), Edge("s", "c"), Edge("m", "c"),
         Edge("in", "w"), Edge("w", "n"), Edge("n", "f"), Edge("n", "f")), ("n",))
    # two streams of 3 in windows of 4; one a window; the larger; 127 // 20; twice that
    assert net.multiplicities == {"in": 3, "s": 24, "m": 1, "c": 24, "n": 6, "f": 12}


@pytest.mark.parametrize("seed", range(20))
def test_width_proof_equals_brute_force(seed):
    """No input and no order of additions leaves the proven range; some reaches both of its ends."""
    rng = np.random.default_rng(seed)
    cuba = bool(seed % 2)
    times = int(rng.integers(1, 3))
    dense = Dense(weight=rng.integers(-8, 8, (2, 3)), bias=rng.integers(-3, 4, 2))
    lif = Lif(shape=(2,), threshold=30, bias=rng.integers(-3, 4, 2), fraction_bits=int(rng.integers(3)),
              v_lo=-int(rng.integers(20)), v_hi=int(rng.integers(20)), i_lo=-int(rng.integers(9)),
              i_hi=int(rng.integers(9)), initial=rng.integers(-25, 25, 2),
              synapse_decay=4096 if cuba else None)
    net = network({"in": Input(shape=(3,), max_multiplicity=times), "w": dense, "n": lif})
    proof = net.proof("n")
    seen = {0}
    for n, counts in product(range(2), product(range(times + 1), repeat=3)):
        terms = [int(w) << lif.fraction_bits for w, c in zip(dense.weight[n], counts, strict=True)
                 for _ in range(c)]
        # The extremes over all orders: all of one sign first, with the bias or without.
        bias = int(lif.bias[n] + dense.bias[n])
        sums = [sum(t for t in terms if t * sign > 0) + b for sign in (1, -1) for b in (0, bias)]
        starts = [(lif.i_lo, lif.i_hi, int(lif.initial[n])), (lif.v_lo, lif.v_hi)] if cuba else [
            (lif.v_lo, lif.v_hi, int(lif.initial[n])), (0,)]
        for total, first, second in product(sums, *starts):
            seen |= {first + total, first + total + second}
    assert proof.low <= min(seen) and max(seen) <= proof.high
    limit = 1 << (proof.bits - 1)
    assert -limit <= proof.low and proof.high < limit
    assert not (-limit // 2 <= proof.low and proof.high < limit // 2)  # one bit less would not do
    # The proof takes the worst weights and the worst initial state of different neurons together.
    same = Network({**net.nodes, "n": replace(lif, initial=0, bias=0),
                    "w": Dense(weight=dense.weight[[0, 0]])}, EDGES, ("n",)).proof("n")
    scale = times << lif.fraction_bits
    row = dense.weight[0]
    assert same.positive == scale * row[row > 0].sum() and same.negative == scale * row[row < 0].sum()
    assert same.high == max(0, lif.v_hi + same.positive + (lif.i_hi if cuba else 0))
    assert same.low == min(0, lif.v_lo + same.negative + (lif.i_lo if cuba else 0))


def test_a_population_that_is_too_narrow():
    narrow = Lif(shape=(2,), threshold=5, state_bits=6, v_lo=-26, v_hi=22)
    assert network({**NODES, "n": narrow}).check_widths()["n"].bits == 6  # [-26 - 6, 22 + 9]
    message = ("Node 'n': state width must be at least 7 bits for sums from -33 to 31, not 6; "
               "use smaller weights, a narrower guard band or wider states")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        network({**NODES, "n": replace(narrow, v_lo=-27)}).check_widths()


# -- Files --------------------------------------------------------------------------------------------


def test_digest_is_stable():
    assert GOOD.digest == "63565bbf9e134410d2b9c4f59bfe7572b2ffc884d27d18951eb36ca884fe0c1a"


def test_digest_depends_on_everything():
    others = [
        network({**NODES, "n": replace(NODES["n"], threshold=6)}),
        network({**NODES, "w": replace(NODES["w"], bias=1)}),
        network({**NODES, "w": replace(NODES["w"], weight=NODES["w"].weight + 1)}),
        network({**NODES, "in": Input(shape=(3,), max_multiplicity=2)}),
        network(edges=(Edge("in", "w", 1), EDGES[1])), network(edges=EDGES[::-1]),
        Network(NODES, EDGES, ("n",), {"a": 1}),
        network({k: NODES[k] for k in ("w", "in", "n")}),
    ]
    assert len({n.digest for n in [GOOD, *others]}) == len(others) + 1
    assert len({GOOD, network(), *others}) == len(others) + 1


@pytest.mark.parametrize("seed", range(10))
def test_save_and_load_round_trip(tmp_path, seed):
    net = replace(random_network(seed), metadata={"scale": [0.5, None], "text": "µ"})
    net.save(tmp_path / "a.npz")
    back = Network.load(tmp_path / "a.npz")
    assert back == net and back.digest == net.digest and hash(back) == hash(net)
    assert list(back.nodes) == list(net.nodes)
    assert (back.edges, back.outputs, back.metadata) == (net.edges, net.outputs, net.metadata)
    back.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_file_that_does_not_exist(tmp_path):
    path = tmp_path / "none.npz"
    with pytest.raises(NetworkError, match=f"^{re.escape(f'Network file must exist, and {path} does not')}$"):
        Network.load(path)


def packed(net=GOOD):
    file = io.BytesIO()
    header, arrays = net._header()
    np.savez(file, header=np.frombuffer(header.encode(), np.uint8), **arrays)
    return file.getvalue(), json.loads(header), arrays


DATA, HEADER, ARRAYS = packed()


def load(tmp_path, data):
    (tmp_path / "n.npz").write_bytes(data)
    return Network.load(tmp_path / "n.npz")


def with_header(header):
    file = io.BytesIO()
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    np.savez(file, header=np.frombuffer(raw, np.uint8), **ARRAYS)
    return file.getvalue()


def test_the_helper_makes_good_files(tmp_path):
    assert load(tmp_path, DATA) == load(tmp_path, with_header(HEADER)) == GOOD


@pytest.mark.parametrize("change", [
    {"format": "other"}, {"version": 2}, {"version": None}, {"nodes": None}, {"nodes": []},
    {"nodes": {"in": 3}},
    {"nodes": {"in": {"kind": "Input", "shape": "abc"}}}, {"nodes": {"in": {"kind": "Reset"}}},
    {"nodes": {"in": {"shape": [3]}}}, {"nodes": {"in": {"kind": "Input", "shape": [3], "x": 1}}},
    {"nodes": {"in": {"kind": "Input", "shape": {"array": "nothing"}}}},
    {"nodes": {"in": {"kind": "Input", "shape": {}}}}, {"nodes": {"in": {"kind": ["Input"]}}},
    {"edges": 3}, {"edges": [["in"]]}, {"edges": [["in", "w", 0, 0]]}, {"edges": [["in", "w", -1]]},
    {"edges": [["in", "w", "x"]]}, {"edges": [3]}, {"outputs": None}, {"outputs": [["n"]]},
    {"outputs": ["x"]}, {"outputs": "n"},
    {"metadata": 3},
])
def test_hostile_headers(tmp_path, change):
    with pytest.raises(NetworkError):
        load(tmp_path, with_header(HEADER | change))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"{}", b"[" * 100_000])
def test_headers_that_are_no_objects(tmp_path, raw):
    with pytest.raises(NetworkError):
        load(tmp_path, with_header(raw))


@pytest.mark.parametrize("key", [k for k in HEADER if k not in ("format",)])
def test_headers_with_a_part_left_out(tmp_path, key):
    with pytest.raises(NetworkError):
        load(tmp_path, with_header({k: v for k, v in HEADER.items() if k != key}))


def raw_npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize("data", [
    b"", b"PK", b"\x93NUMPY", b"not a network", npy(np.zeros(3)), raw_npz(), raw_npz(header=b"rubbish"),
    raw_npz(header=npy(np.array([{}], object), allow_pickle=True)),
    raw_npz(header=npy(np.zeros(3))), DATA[:-1], DATA[:len(DATA) // 2], DATA[100:],
])
def test_files_that_are_no_networks(tmp_path, data):
    with pytest.raises(NetworkError):
        load(tmp_path, data)


def test_every_truncation_is_refused(tmp_path):
    for length in range(0, len(DATA), 97):
        with pytest.raises(NetworkError):
            load(tmp_path, DATA[:length])


@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_give_a_network_or_a_network_error(tmp_path_factory, damage):
    data = bytearray(DATA)
    for position, value in damage:
        data[position] = value
    try:
        net = load(tmp_path_factory.getbasetemp(), bytes(data))
    except NetworkError:
        return
    assert net.populations


def test_an_array_that_claims_to_be_huge(tmp_path):
    """Neither a crash nor an allocation of what the file does not hold."""
    good = npy(np.zeros((2, 3), np.int64))
    huge = good.replace(b"(2, 3), }" + b" " * 9, b"(2, 3000000000), }")
    assert huge != good and len(huge) == len(good)
    arrays = {k: npy(a) for k, a in ARRAYS.items()}
    header = npy(np.frombuffer(json.dumps(HEADER).encode(), np.uint8))
    key = next(k for k, a in ARRAYS.items() if a.ndim == 2)
    load(tmp_path, raw_npz(header=header, **arrays | {key: good}))
    with pytest.raises(NetworkError, match="must be a readable neurogen network"):
        load(tmp_path, raw_npz(header=header, **arrays | {key: huge}))


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path):
    file = io.BytesIO()
    with (zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
          archive.open("header.npy", "w") as member):
        for _ in range(257):
            member.write(bytes(1 << 20))
    assert len(file.getvalue()) < 1 << 20
    with pytest.raises(NetworkError, match=r"array 'header' must be at most 268435456 bytes, not 269484032$"):
        load(tmp_path, file.getvalue())


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.asfortranarray(np.ones((2, 3), int)),
                                   np.zeros((2, 3), ">i4"), np.zeros((2, 3), bool)])
def test_arrays_of_other_kinds(tmp_path, array):
    key = next(k for k, a in ARRAYS.items() if a.ndim == 2)
    header = npy(np.frombuffer(json.dumps(HEADER).encode(), np.uint8))
    arrays = {k: npy(a) for k, a in ARRAYS.items()} | {key: npy(array)}
    with pytest.raises(NetworkError, match=f"array '{re.escape(key)}' must hold integers in C order"):
        load(tmp_path, raw_npz(header=header, **arrays))
