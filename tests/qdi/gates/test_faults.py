"""Faults put into blocks on purpose: each must be caught, by the check that is made for it."""

from dataclasses import replace

import pytest

from neurogen.qdi.gates import Builder, Gate, build_block
from neurogen.qdi.gates.data import half_buffer
from neurogen.qdi.gates.explore import explore
from neurogen.qdi.gates.proofs import prove
from neurogen.qdi.gates.reset import unknown_nets
from neurogen.qdi.gates.simulate import Simulator
from neurogen.spec.qdi import BLOCKS


def block(kind, width=2, **more):
    given = {"width": width, "n": 2, "signed": False, "value": 1} | more
    parameters = {name: given[name] for name in BLOCKS[kind].parameters}
    return build_block(kind, parameters), parameters


def with_ack(netlist, name, net):
    """Acknowledge an input with another net."""
    inputs = netlist.inputs | {name: replace(netlist.inputs[name], a=net)}
    return replace(netlist, inputs=inputs)


def exchange(netlist, old, new, count=1):
    """Make the first gates of one cell those of another."""
    gates, left = [], count
    for gate in netlist.gates:
        if gate.cell == old and left:
            gate, left = replace(gate, cell=new), left - 1
        gates.append(gate)
    assert left == 0
    return replace(netlist, gates=gates)


def driver(netlist, net):
    return next(gate for gate in netlist.gates if gate.output == net)


def select_acked_from_output():
    n, p = block("select", 1)
    return "select", p, with_ack(n, "s", n.outputs["o"].a)


def and_instead_of_c_in_adder():
    n, p = block("adder", 2)
    return "adder", p, exchange(n, "NG_C2", "NG_AND2")


def and_instead_of_c_in_select():
    n, p = block("select", 1)
    return "select", p, exchange(n, "NG_C2", "NG_AND2")


def waiting_for_less(n, ack):
    """Let a completion (C of NORs, inverted) see only what its first or its inner input sees."""
    top = driver(n, driver(n, ack).inputs[0])
    part = next((net for net in top.inputs if driver(n, net).cell.startswith("NG_C")), top.inputs[0])
    return replace(n, gates=[replace(g, inputs=(part,)) if g.output == ack else g for g in n.gates])


def ack_of_bit_0_only():
    n, p = block("buffer", 2)
    return "buffer", p, waiting_for_less(n, n.inputs["i"].a)


def completion_without_highest_bit():
    n, p = block("sink_data", 3)
    return "sink_data", p, waiting_for_less(n, n.inputs["i"].a)


def fork_acked_by_one_copy():
    n, p = block("fork", 1)
    return "fork", p, with_ack(n, "i", n.outputs["o0"].a)


def fork_acked_by_either_copy():
    n, p = block("fork", 1)
    return "fork", p, exchange(n, "NG_C2", "NG_OR2")


def carry_that_nobody_reads():
    n, p = block("adder", 1)
    a, b = (n.inputs[k].digits[0][1] for k in "ab")
    n.nets.append("carry")
    n.gates.append(Gate("NG_C2", (a, b), len(n.nets) - 1, "adder.carry", "adder"))
    return "adder", p, n


def early_result_without_the_wait():
    n, p = block("lt", 2)
    return "lt", p, with_ack(with_ack(n, "a", n.outputs["o"].a), "b", n.outputs["o"].a)


def branch_acked_by_one_arm():
    n, p = block("branch", 1)
    ack = n.outputs["o0"].a
    return "branch", p, with_ack(with_ack(n, "s", ack), "i", ack)


def token_dropped_before_it_is_complete():
    n, p = block("gate", 2)
    return "gate", p, waiting_for_less(n, driver(n, n.inputs["i"].a).inputs[1])


def half_buffer_without_enable():
    n, p = block("buffer", 1)
    enable = next(g for g in n.gates if g.cell == "NG_NOR2")
    return "buffer", p, replace(n, gates=[replace(g, inputs=(n.rst, n.rst)) if g is enable else g
                                          for g in n.gates])


def hold_that_does_not_wait_for_the_return_to_zero():
    n, p = block("hold", 1)
    idle = next(g for g in n.gates if g.cell == "NG_NOR2" and n.outputs["o"].a in g.inputs
                and n.rst not in g.inputs)
    early = replace(idle, cell="NG_INV", inputs=(idle.inputs[1],))
    return "hold", p, replace(n, gates=[early if g is idle else g for g in n.gates])


def grant_that_is_given_back_early():
    n, p = block("arb_merge", 1)
    gates = []
    for g in n.gates:  # the request does not wait for its acknowledge
        if g.cell == "NG_OR2" and any(m.cell == "NG_MUTEX" and m.inputs[0] == g.output for m in n.gates):
            g = replace(g, inputs=(g.inputs[0], g.inputs[0]))
        gates.append(g)
    return "arb_merge", p, replace(n, gates=gates)


FAULTS = [
    (select_acked_from_output, {"persistency", "conformation"}),
    (and_instead_of_c_in_adder, {"conformation", "persistency"}),
    (and_instead_of_c_in_select, {"persistency", "conformation"}),
    (ack_of_bit_0_only, {"conformation"}),
    (completion_without_highest_bit, {"conformation"}),
    (fork_acked_by_one_copy, {"conformation"}),
    (fork_acked_by_either_copy, {"conformation"}),
    (carry_that_nobody_reads, {"persistency"}),
    (early_result_without_the_wait, {"conformation"}),
    (branch_acked_by_one_arm, {"deadlock"}),
    (token_dropped_before_it_is_complete, {"conformation"}),
    (half_buffer_without_enable, {"conformation", "deadlock"}),
    (hold_that_does_not_wait_for_the_return_to_zero, {"conformation", "deadlock", "persistency"}),
    (grant_that_is_given_back_early, {"persistency"}),
]


@pytest.mark.parametrize("fault, checks", FAULTS, ids=lambda x: getattr(x, "__name__", None))
def test_the_proof_catches(fault, checks):
    kind, parameters, netlist = fault()
    proof = prove(kind, parameters, netlist=netlist, limit=10_000)
    found = {violation.check for violation in proof.violations}
    assert found & checks, found
    assert all(violation.trace or violation.check == "unknown" for violation in proof.violations)


def test_the_proof_catches_inputs_of_a_merge_that_do_not_exclude_each_other():
    netlist, _ = block("merge", 1)
    assert "code" in {violation.check for violation in explore(netlist).violations}


def ring(stages):
    """Return a ring of half buffers with one token, of which an output tells its value (by a fork)."""
    b = Builder("ring")
    b.blocks["ring"] = ("ring", "")
    b.block = "ring"
    channels = [b.channel(f"s{k}", 1) for k in range(stages)]
    out = b.channel("o", 1)
    for k in range(stages):
        i, o = channels[k], channels[(k + 1) % stages]
        if k == 0:  # its output is forked to the outside
            inner = b.channel("inner", 1)
            half_buffer(b, i, inner, value=1)
            for rail, left, right in zip(inner.rails, o.rails, out.rails, strict=True):
                b.wires_to((left, right), rail)
            b.wire(inner.a, b.c(o.a, out.a))
        else:
            half_buffer(b, i, o, reset=True)
    return b.finish({}, {"o": out})


def test_a_ring_of_two_half_buffers_is_dead_and_one_of_three_is_not():
    assert "deadlock" in {violation.check for violation in explore(ring(2)).violations}
    assert explore(ring(3)).holds


def test_a_register_without_reset_is_unknown():
    netlist, parameters = block("init", 1)
    broken = replace(netlist, gates=[replace(g, cell="NG_C2", inputs=g.inputs[:2]) if g.cell == "NG_C2S"
                                     else g for g in netlist.gates])
    assert unknown_nets(broken) and prove("init", parameters, netlist=broken).violations[0].check == "unknown"
    assert Simulator(broken).run({"i": []}, {"o": 1}).unknown


def test_wrong_results_are_seen_in_the_streams():
    netlist, _ = block("adder", 4)
    digits = netlist.outputs["o"].digits
    swapped = replace(netlist.outputs["o"], digits=(digits[0][::-1], *digits[1:]))
    result = Simulator(replace(netlist, outputs={"o": swapped})).run({"a": [5], "b": [4]}, {"o": 1})
    assert result.clean and result.streams["o"] == [8]


def test_random_delays_alone_miss_the_orphan_that_the_proof_finds():
    """Why there is a proof: the early AND of an adder gives right results in nearly every run."""
    netlist, _ = block("adder", 8)
    broken = Simulator(exchange(netlist, "NG_C2", "NG_AND2", count=20))
    runs = [broken.run({"a": [1, 77, 200], "b": [3, 99, 255]}, {"o": 3}, seed=seed, spread=10)
            for seed in range(50)]
    assert sum(run.streams["o"] == [4, 176, 199] for run in runs) > 40


def test_a_deadlock_is_reported_with_blocks_and_places():
    netlist, _ = block("adder", 4)
    result = Simulator(netlist).run({"a": [5, 6], "b": [4]}, {"o": 2})
    assert result.streams["o"] == [9] and not result.finished and not result.clean


def test_a_run_without_end_is_given_up():
    netlist, _ = block("source", 2)
    result = Simulator(netlist).run({}, {"o": 10**6}, budget=1000)
    assert not result.finished and result.events < 3000 and result.waiting
