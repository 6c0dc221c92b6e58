"""Click circuits: streams, delays that match, areas; and what happens without the delays."""

import random
from dataclasses import replace

import pytest

from designs.if_neuron import DESIGN as NEURON
from neurogen import qdi
from neurogen.flow.synth.load import random_stimuli
from neurogen.qdi import Mem, State, U, compile
from neurogen.qdi.click import build, cycle_time, simulate
from neurogen.qdi.click.build import _Build
from neurogen.qdi.click.logic import _WORDS
from neurogen.qdi.compile import stimuli_of
from neurogen.qdi.fuzz import random_program
from neurogen.qdi.gates.mapping import KITS, load_kit, map_netlist
from neurogen.qdi.graph import Graph
from tests.qdi import functions
from tests.rtl.qdi.rules import CASES, fire, stimulus


EXAMPLES = [(functions.loop_test, [0, 5, 250]), (functions.gcd, [(12, 18), (7, 7), (35, 21)]),
            (functions.accumulate, [10, 20, 80, 3]), (functions.divide, [(10, 3), (100, 7)]),
            (functions.signs, [(3, -4), (-3, 4), (-60, 100), (0, 0)]),
            (functions.histogram, [3, 7, 3, 15, 3, 7]), (NEURON.make(8), [(0xffff, 0), (0x1234, 9)])]
OPERATORS = [case for case in CASES if case[0] in {*_WORDS, "ram"} and case[1].get("out_width") != 0]


def streams(graph, function, stimuli):
    """Return tokens and results by name, as bits."""
    width = {n.parameters["name"]: n.parameters["width"] for n in graph.nodes.values() if not n.is_block}
    return [{name: [x & (1 << width[name]) - 1 for x in stream] for name, stream in side.items()}
            for side in (stimuli_of(function, stimuli), function.expected(stimuli))]


def name_of(value):
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()).replace(" ", "")
    return getattr(value, "__name__", getattr(value, "name", None))


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("function, stimuli", EXAMPLES, ids=name_of)
def test_click_gives_what_python_gives(function, stimuli, kit):
    graph = compile(function)
    tokens, expected = streams(graph, function, stimuli)
    design = build(graph, load_kit(kit))
    for seed, variation in enumerate((0.0, 0.05, 0.1)):
        result = simulate(design, tokens, {k: len(v) for k, v in expected.items()}, variation=variation,
                          seed=seed)
        assert result.streams == expected
        assert result.finished and not (result.hazards or result.illegal or result.unknown)


@qdi.process(width=4, mode="wrap")
def grades(a, b):
    if a < 3:
        b = b + a
    elif a < 7:
        b = b * 3
    elif a == 9:
        return 0
    else:
        while b > 2:
            b = b - 3
    return b


@qdi.process(width=4, mode="wrap")
def flips(a: U[4], s: State[U[4]] = 3):
    return a if (s & 1) else 9  # the state goes straight back into its own register


@qdi.process(width=4, mode="wrap")
def never(a: U[2]):
    if not a & 1:
        a = (a & 1) & a
        if a > 0:  # never: the select gets a constant
            return a
    return (a * a) & (2 & a)


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("function, stimuli", [
    (grades, [(a, b) for a in range(0, 16, 2) for b in range(0, 16, 3)]),
    (flips, list(range(8))), (never, list(range(4)))], ids=name_of)
def test_steering_by_one_hot_words_and_constants(function, stimuli, kit):
    check_click(function, stimuli, kit)


def check_click(function, stimuli, kit, variation=0.0):
    graph = compile(function)
    tokens, expected = streams(graph, function, stimuli)
    result = simulate(build(graph, load_kit(kit)), tokens, {k: len(v) for k, v in expected.items()},
                      variation=variation)
    assert result.streams == expected and result.finished and not result.illegal
    return graph


def test_one_hot_words_are_used():
    kinds = {node.kind for node in compile(grades).nodes.values()}
    assert {"else_condition", "branch_n", "select_n"} <= kinds


@pytest.mark.parametrize("seed, variation", [(96, 0.0), (138, 0.1)])
def test_data_that_waits_for_a_full_register_is_there_before_its_request(seed, variation):
    """Latches that opened with the click gave the old word: the request was faster than they."""
    program = random_program(seed)
    check_click(program.process(), program.stimuli, "sg13g2", variation)


@pytest.mark.parametrize("width", [12, 16])
def test_a_bit_that_chooses_for_many_has_settled_before_it_is_new(width):
    """Its flip-flop drives a multiplexer for each bit and is slower than that of the request."""
    function = NEURON.make(width)
    graph = compile(function)
    tokens, expected = streams(graph, function, random_stimuli(function, 4))
    design = build(graph, load_kit("sg13g2"))
    for seed in range(8):
        result = simulate(design, tokens, {k: len(v) for k, v in expected.items()},
                          variation=(0.0, 0.1, 0.05)[seed % 3], seed=seed)
        assert result.streams == expected and not result.hazards, seed


def test_source_gives_its_constant():
    graph = Graph("constant")
    source = graph.add("source", {"width": 3, "value": 5})
    a, b = (graph.add("input" if k else "output", {"name": "ab"[k], "width": 3, "signed": False})
            for k in (1, 0))
    adder = graph.add("adder", {"width": 3})
    graph.connect((a, "o"), (adder, "a"))
    graph.connect((source, "o"), (adder, "b"))
    graph.connect((adder, "o"), (b, "i"))
    result = simulate(build(graph, load_kit("sky130")), {"b": [0, 1, 7]}, {"a": 3})
    assert result.streams == {"a": [5, 6, 4]} and result.clean


def test_time_of_an_iteration_is_that_of_the_loop():
    graph = compile(functions.loop_test)
    tokens, expected = streams(graph, functions.loop_test, [1, 2, 3])
    design = build(graph, load_kit("sg13g2"))
    time = cycle_time(design, tokens, {k: len(v) for k, v in expected.items()})
    result = simulate(design, tokens, {k: len(v) for k, v in expected.items()})
    assert time.channel.endswith(".select") and time.tokens == 3 * 7
    assert time.ns * 20 < result.time < time.ns * 24
    with pytest.raises(ValueError, match=r"must give all tokens before its time is taken$"):
        cycle_time(design, tokens, {"o": 4})


@pytest.mark.parametrize("kind, parameters", OPERATORS, ids=name_of)
def test_operator_follows_its_rule(kind, parameters):
    graph = Graph(kind)
    block = graph.add(kind, parameters)
    ins, outs = graph.nodes[block].ports
    for port in ins:
        id = graph.add("input", {"name": port.name, "width": port.width, "signed": False})
        graph.connect((id, "o"), (block, port.name))
    for port in outs:
        id = graph.add("output", {"name": port.name, "width": port.width, "signed": False})
        graph.connect((block, port.name), (id, "i"))
    tokens = stimulus(kind, parameters, random.Random(str(parameters)), 40)
    expected, _ = fire(kind, parameters, tokens)
    result = simulate(build(graph, load_kit("sg13g2")), tokens, {k: len(v) for k, v in expected.items()})
    assert result.streams == expected and not result.illegal


def test_without_delays_the_results_are_wrong():
    function, stimuli = EXAMPLES[0]
    graph = compile(function)
    tokens, expected = streams(graph, function, stimuli)
    kit = load_kit("sg13g2")
    design = build(graph, kit)
    assert sum(design.chains.values()) > 5
    bare = replace(design, mapped=map_netlist(_Build(graph, {}).netlist, kit))
    result = simulate(bare, tokens, {k: len(v) for k, v in expected.items()})
    assert result.streams != expected or result.illegal


def test_chains_take_longer_than_their_logic():
    graph = compile(functions.gcd)
    short, long = (build(graph, load_kit("sg13g2"), margin=margin) for margin in (1.0, 3.0))
    assert sum(long.chains.values()) > 2 * sum(short.chains.values()) > 0


def test_there_are_no_c_elements_and_the_neuron_is_small():
    design = build(compile(NEURON.make(8)), load_kit("sg13g2"))
    assert design.area <= 5000  # the goal, µm²
    assert not any("o21ai" in cell for cell in design.mapped.netlist.count())


@qdi.process(width=6, mode="wrap")
def exchange(a: U[2], d: U[6], m: Mem[U[6], 4] = (9, 33, 0, 63)):
    old = m[a]
    m[a] = d
    m[a ^ 1] = old + m[3]
    return old


def test_words_keep_what_was_written_whatever_comes_between():
    stimuli = [(a, d) for d in (5, 62, 17) for a in (0, 1, 3, 2, 2, 0)]
    for kit, variation in (("sky130", 0.0), ("sky130", 0.1), ("sg13g2", 0.1)):
        graph = check_click(exchange, stimuli, kit, variation)
    assert [node.kind for node in graph.blocks].count("ram") == 1


def array(words, width):
    """Return an array that one input addresses, and its bits say what is written: no join takes time."""
    bits = (words - 1).bit_length()
    graph = Graph("array")
    a = graph.add("input", {"name": "a", "width": bits, "signed": False})
    fork = graph.add("fork", {"width": bits, "n": 3})
    cut = {"width": bits, "shift": 0, "signed": False}
    write = graph.add("slice", cut | {"low": 0, "out_width": 1})
    data = graph.add("slice", cut | {"low": bits - width, "out_width": width})
    graph.add("ram", {"width": width, "values": tuple(k * 7 % (1 << width) for k in range(words))}, id="ram")
    out = graph.add("output", {"name": "o", "width": width, "signed": False})
    for src, dst in (((a, "o"), (fork, "i")), ((fork, "o0"), ("ram", "a")), ((fork, "o1"), (write, "i")),
                     ((fork, "o2"), (data, "i")), ((write, "o"), ("ram", "write")),
                     ((data, "o"), ("ram", "d")), (("ram", "o"), (out, "i"))):
        graph.connect(src, dst)
    return graph


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("words, width", [(64, 2), (16, 3)])
def test_an_array_has_picked_its_word_when_the_click_comes(words, width, kit):
    rng = random.Random(words)
    tokens = [rng.randrange(words) for _ in range(150)]
    held = [k * 7 % (1 << width) for k in range(words)]
    expected = []
    for a in tokens:
        expected.append(held[a])
        if a & 1:
            held[a] = a >> (words - 1).bit_length() - width
    graph = array(words, width)
    for seed, variation in enumerate((0.0, 0.1)):
        result = simulate(build(graph, load_kit(kit)), {"a": tokens}, {"o": 150}, variation=variation,
                          seed=seed)
        assert result.streams == {"o": expected} and result.clean


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_queue_holds_as_many_tokens_as_it_is_deep(depth):
    graph = Graph("queue")
    a, b = (graph.add("input", {"name": name, "width": 3, "signed": False}) for name in "ab")
    queue = graph.add("fifo", {"width": 3, "depth": depth})
    join = graph.add("adder", {"width": 3})
    out = graph.add("output", {"name": "o", "width": 3, "signed": False})
    for src, dst in (((a, "o"), (queue, "i")), ((queue, "o"), (join, "a")), ((b, "o"), (join, "b")),
                     ((join, "o"), (out, "i"))):
        graph.connect(src, dst)
    design = build(graph, load_kit("sky130"))
    result = simulate(design, {"a": list(range(8)), "b": []}, {}, trace=True)  # nothing leaves the queue
    taken = design.mapped.netlist.wires["a.tack"]
    assert [value for _, net, value in result.trace if net == taken].count(1) == (depth + 1) // 2
    assert len([net for _, net, _ in result.trace if net == taken]) == depth
    result = simulate(design, {"a": list(range(8)), "b": [3] * 8}, {"o": 8}, variation=0.1)
    assert result.streams == {"o": [(a + 3) % 8 for a in range(8)]} and result.clean


def test_words_that_are_never_written_are_constants():
    graph = Graph("table")
    graph.add("ram", {"width": 4, "values": (3, 9, 14, 0)}, id="ram")
    a, d = (graph.add("input", {"name": name, "width": width, "signed": False})
            for name, width in (("a", 2), ("d", 4)))
    fork = graph.add("fork", {"width": 2, "n": 2})
    never = graph.add("const", {"width": 1, "value": 0, "trigger_width": 2})
    for src, dst in (((a, "o"), (fork, "i")), ((fork, "o0"), ("ram", "a")), ((fork, "o1"), (never, "i")),
                     ((never, "o"), ("ram", "write")), ((d, "o"), ("ram", "d"))):
        graph.connect(src, dst)
    graph.connect(("ram", "o"), (graph.add("output", {"name": "o", "width": 4, "signed": False}), "i"))
    design = build(graph, load_kit("sg13g2"))
    result = simulate(design, {"a": [2, 0, 3, 1, 2], "d": [1, 2, 3, 4, 5]}, {"o": 5})
    assert result.streams == {"o": [14, 3, 0, 9, 14]} and result.clean
    assert design.mapped.netlist.count()["sg13g2_dfrbpq_1"] == 4 + 3  # o, its phases, a join; no words


def test_unsuitable_blocks_and_margins():
    graph = Graph("steps")
    graph.add("seq", {"n": 2}, id="seq")
    for port in ("i", "done0", "done1"):
        id = graph.add("input", {"name": port, "width": 0, "signed": False})
        graph.connect((id, "o"), ("seq", port))
    for port in ("o", "go0", "go1"):
        graph.connect(("seq", port), (graph.add("output", {"name": port, "width": 0, "signed": False}), "i"))
    with pytest.raises(ValueError, match=r"^Kind of a block must have a Click form, not 'seq'$"):
        build(graph, load_kit("sg13g2"))
    with pytest.raises(ValueError, match=r"^Margin must be at least 1, not 0\.5$"):
        build(compile(functions.loop_test), load_kit("sg13g2"), margin=0.5)
    with pytest.raises(ValueError, match=r"^Variation must be between 0 and 0\.5, not 2$"):
        simulate(build(compile(functions.loop_test), load_kit("sg13g2")), {}, {}, variation=2)
