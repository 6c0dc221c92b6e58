"""A network that has learnt, as a network of the contract: for golden, Mega, and NIR."""

from collections.abc import Sequence

import numpy as np

from neurogen.spec.checks import check_array
from neurogen.spec.dense import Dense
from neurogen.spec.learning import Learner
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Edge, Input, Network


__all__ = ["learnt_network"]


def learnt_network(spec: Learner, weights: Sequence[np.ndarray], *, classes: str = "prototypes") -> Network:
    """Return the network that runs without learning.

    Its hidden populations, ``lif0`` and so on, spike and hold potentials as the learner does, to the bit.
    ``classes`` integrates what class the last layer's trace is like, and does not spike: it decays as
    `neurogen.spec.lif` does, toward zero, where the learner's similarity rounds down, so that it may be off
    by up to ``2**trace_shift``.

    Parameters
    ----------
    spec
        The network.
    weights
        Of each layer, as `neurogen.golden.learning.LayerState` has them.
    classes
        Weights of the population ``classes``: ``"prototypes"`` or ``"readout"``.

    Raises
    ------
    ValueError
        If weights have another shape than the network says, or ``classes`` is something else.
    """
    if classes not in ("prototypes", "readout"):
        raise ValueError(f"Classes must be 'prototypes' or 'readout', not {classes!r}")
    nodes: dict = {"input": Input(shape=(spec.inputs,))}
    edges, before, size = [], "input", spec.inputs
    for index, layer in enumerate(spec.layers):
        n, rows = layer.neurons, spec.rows(index)
        array = check_array("Weights", weights[index],
                            shapes=((spec.column(index), spec.words(n) * spec.lanes),))
        nodes[f"dense{index}"] = Dense(weight=array[:size, :n].T)
        # The guard band is the learner's; above and below it, room for the input of a step.
        nodes[f"lif{index}"] = Lif(shape=(n,), threshold=layer.threshold, state_bits=spec.sum_bits,
                                   decay=DECAY_ONE - (DECAY_ONE >> layer.leak_shift),
                                   v_lo=-spec.v_max - 1, v_hi=spec.v_max)
        edges += [Edge(before, f"dense{index}"), Edge(f"dense{index}", f"lif{index}")]
        if layer.recurrent:
            first = spec.row_words(index)[0] * spec.lanes
            nodes[f"own{index}"] = Dense(weight=array[first:first + n, :n].T)
            edges += [Edge(f"lif{index}", f"own{index}", 1), Edge(f"own{index}", f"lif{index}")]
        before, size = f"lif{index}", n
    first = rows + (spec.classes if classes == "readout" else 0)
    bits = max(16, spec.similarity_bits + 1)
    nodes["dense_classes"] = Dense(weight=array[first:first + spec.classes, :size])
    nodes["classes"] = Lif(shape=(spec.classes,), threshold=1, reset=Reset.NONE, state_bits=bits,
                           decay=DECAY_ONE - (DECAY_ONE >> spec.trace_shift),
                           v_lo=-(1 << (bits - 2)), v_hi=(1 << (bits - 2)) - 1)
    edges += [Edge(before, "dense_classes"), Edge("dense_classes", "classes")]
    return Network(nodes, tuple(edges), ("classes",), {"task": "classification"})
