"""Refusals of the compiler: every message, whole."""

import re
from dataclasses import replace

import numpy as np
import pytest

from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.dense import Dense
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Flatten, MaxPool, SumPool
from tests.mapping.networks import chain, conv, dense, lif


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=20, state_depth=64, weight_depth=64, spike_depth=64,
                program_depth=256, max_pool_rows=64)


def refused(network, message, **changes):
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        compile_network(network, replace(SPEC, **changes), name_of_config="small")


def wired(nodes, *edges, outputs=("lif",)):
    return Network(nodes, tuple(Edge(*edge) for edge in edges), outputs)


def test_multi_spike():
    refused(chain((4,), dense(3, 4), multi_spike=True, threshold=1),
            "Node 'lif0': neurons must emit at most 64 spikes per step on this accelerator, a sweep each, "
            "and potentials up to 108 with a threshold of 1 may bring 108; use a larger threshold, a "
            "narrower guard band, or one spike per step")


@pytest.mark.parametrize("pools, size", [((3,), 3), ((2, 3), 6), ((4, 4), 16)])
def test_pools_that_are_no_shift(pools, size):
    refused(chain((2, 16, 16), *(SumPool(size=k) for k in pools), conv(2, 2, 1)),
            f"Node 'conv{len(pools)}': pools between 'input' and here must have a size of 1, 2, 4 or 8 "
            f"together, not {size}")


def test_sum_pool_behind_max_pool():
    refused(chain((2, 16, 16), MaxPool(size=2), SumPool(size=2), conv(2, 2)),
            "Node 'sumpool1': a sum pool must not follow a max pool on this accelerator")


def test_max_pool_of_a_union():
    nodes = {"a": Input(shape=(2, 8, 8)), "b": Input(shape=(2, 8, 8)), "max": MaxPool(size=2),
             "conv": conv(2, 2), "lif": lif((2, 4, 4))}
    refused(wired(nodes, ("a", "max"), ("b", "max"), ("max", "conv"), ("conv", "lif")),
            "Node 'max': a max pool must have one source per channel on this accelerator, not the union of "
            "several")


def test_delays_longer_than_a_ring():
    nodes = {"a": Input(shape=(4, 1, 1)), "flat": Flatten(), "fc": dense(2, 4), "lif": lif((2,))}
    refused(wired(nodes, ("a", "flat", 200), ("flat", "fc", 56), ("fc", "lif")),
            "Delay from 'a' to 'fc' must be at most 255 steps in all, not 256")


def test_fraction_bits():
    refused(chain((4,), dense(3, 4), fraction_bits=2),
            "Node 'lif0': fraction bits must be one of [0] on configuration 'small', not 2; fraction_bits "
            "[0, 2] would fit")


def test_cuba():
    refused(chain((4,), dense(3, 4), synapse_decay=5, i_lo=-1, i_hi=1),
            "Node 'lif0': configuration 'small' must have CuBa-LIF neurons (cuba: true)")


def test_states_that_are_too_wide():
    refused(chain((4,), dense(3, 4), v_hi=5000),
            "Node 'lif0' needs states of 14 bits for values from -108 to 5008, and configuration 'small' has "
            "12; state_bits 14 would fit", state_bits=12)


def test_decays_that_have_no_code():
    refused(chain((4,), dense(3, 4), decay=np.array([0, 1, 4096])),
            "Node 'lif0': a decay of 0 needs states of 13 bits beside the others of the population, and "
            "configuration 'small' has 12; state_bits 13 would fit", state_bits=12)
    refused(chain((4,), dense(3, 4), decay=1000, state_bits=9),
            "Node 'lif0': a decay of 1000 needs states of 12 bits beside the others of the population, and "
            "configuration 'small' has 9; state_bits 12 would fit", state_bits=9)


def test_weights_that_are_too_wide():
    refused(chain((2,), Dense(weight=np.array([[4, -3]]))),
            "Node 'dense0': Dense weights from -3 to 4 need 4 bits, and configuration 'small' has 3; "
            "weight_bits 4 would fit", weight_bits=3)
    refused(chain((2,), Dense(weight=np.array([[-256, 0]]))),
            "Node 'dense0': Dense weights from -256 to 0 need 9 bits, and configuration 'small' has 4; "
            "quantise to at most 8 bits")


def test_coordinates():
    refused(chain((2, 513, 3), conv(2, 2)), "Node 'input' must have a shape of at most (8192, 512, 512), "
                                            "not (2, 513, 3)")
    refused(chain((9000,), dense(2, 9000), v_lo=-1, v_hi=1, state_bits=24),
            "Node 'input' must have a shape of at most (8192,), not (9000,)", state_bits=24)


def test_weights_that_do_not_fit():
    refused(chain((100,), dense(3, 100)),
            "Population 'lif0' must fit configuration 'small', however it is split: needs 103 weight rows "
            "(64 available); weight_depth 104 would fit (or external: true)")


def test_the_smallest_tile_does_not_fit():
    network = chain((2, 40, 40), conv(2, 2), synapse_decay=0, i_lo=-1, i_hi=1)
    refused(network,
            "Population 'lif0' must fit configuration 'small', however it is split: needs 400 state rows "
            "(8 available) and 200 spike rows (64 available); state_depth 16 would fit",
            state_depth=8, cuba=True)


def test_max_pool_memory():
    refused(chain((4, 16, 16), MaxPool(size=2), conv(2, 4)),
            "Population 'lif1' must fit configuration 'small', however it is split: needs 128 MaxPool rows "
            "(64 available); max_pool_rows 128 would fit")


def test_a_cycle_that_does_not_fit():
    network = chain((4,), dense(60, 4))
    network = replace(network, nodes=network.nodes | {"back": dense(60, 60)},
                      edges=(*network.edges, Edge("lif0", "back", 1), Edge("back", "lif0")))
    refused(network,
            "Population 'lif0' must fit configuration 'small' in one pass, because its spikes come back to "
            "it: needs 259 weight rows (64 available); weight_depth 264 would fit (or external: true)")
    assert compile_network(network, replace(SPEC, weight_depth=264)).strategy == "resident"
    assert compile_network(network, replace(SPEC, external=True, program_depth=4096)).strategy == "external"


def test_what_would_fit_fits():
    network = chain((2, 40, 40), conv(2, 2), synapse_decay=0, i_lo=-1, i_hi=1)
    plan = compile_network(network, replace(SPEC, state_depth=16, cuba=True))
    assert plan.strategy == "tiles" and len(plan.passes) == 28


def test_observed_populations():
    message = "Observed populations must be one of 'outputs', 'all', not 'some'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        compile_network(chain((4,), dense(3, 4)), SPEC, observe="some")
