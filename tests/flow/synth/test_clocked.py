import pytest

from neurogen.flow.synth.clocked import emit_verilog, run_amaranth, run_verilator
from neurogen.flow.tools import SimulationError
from neurogen.qdi.examples import add_graph, loop_graph


@pytest.mark.parametrize("run", [run_amaranth, run_verilator])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_both_simulators_give_the_results_of_python(run, stalls):
    tokens = list(range(0, 250, 9))
    found = run(loop_graph(), {"a": tokens}, {"o": len(tokens)}, stalls=stalls, seed=3)
    assert found.outputs == {"o": [(a + sum(range(1, 8))) % 256 for a in tokens]}


def test_an_iteration_takes_one_cycle_in_verilog():
    period = run_verilator(loop_graph(), {"a": [0] * 1000}, {"o": 1000}).period()
    assert period / 7 <= 1.1


def test_missing_results_are_an_error():
    with pytest.raises(SimulationError, match="Clocked circuit of loop_test stands still or is too slow: "
                                              "o gave 1 of 2 in 300 cycles"):
        run_amaranth(loop_graph(), {"a": [1]}, {"o": 2}, cycles=300)


def test_verilog_has_the_names_of_the_function():
    text = emit_verilog(add_graph())
    assert text == emit_verilog(add_graph())
    for port in ("a__payload", "b__valid", "o__ready", "clk", "rst"):
        assert f" {port};" in text
    assert "module add_test(" in text
