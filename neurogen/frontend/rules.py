"""Named discretisations: how each simulator turns NIR's differential equations into time steps."""

from dataclasses import dataclass, replace

import numpy as np

from neurogen.frontend.graph import FloatLif, NirError, Reset
from neurogen.frontend.nir_file import NirGraph, NirNode


__all__ = ["RULES", "Rule", "compact", "get_rule", "infer_dt", "neuron_parameters"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way to discretise; see `neurogen.frontend.graph.FloatLif` for the fields of the same name.

    Parameters
    ----------
    name
        The simulator.
    leak
        Factor of a time constant: 'euler' ``1 - dt/tau``, 'exp' ``exp(-dt/tau)``.
    gain
        Factor of the input: 'euler' ``dt/tau``, 'zoh' ``1 - leak factor``.
    reset
        Where the graph cannot tell (NIR has no reset by subtraction).
    double_threshold, reset_delayed
        Apply to ``subtract`` only; ``reset_delayed`` not to CuBa-LIF (Spyx's published spikes say so).
    clamp
        Potentials stay above minus the threshold.
    synapse_delay
        Steps that every synapse takes, feed-forward ones too.
    recurrent_bias_late
        The bias of a recurrent synapse acts from the second step on.
    fixed_point
        Loihi's integers: 12-bit decays, weights and thresholds in units of 2**-6.
    """

    name: str
    leak: str = "euler"
    gain: str = "euler"
    reset: Reset = Reset.ZERO
    strict: bool = True
    double_threshold: bool = False
    reset_delayed: bool = False
    multi_spike: bool = False
    clamp: bool = False
    old_current: bool = False
    synapse_delay: int = 0
    latency: int = 0
    recurrent_bias_late: bool = False
    fixed_point: bool = False

    def __post_init__(self):
        object.__setattr__(self, "reset", Reset(self.reset))
        if self.leak not in ("euler", "exp") or self.gain not in ("euler", "zoh"):
            raise NirError(f"Rule must have leak 'euler' or 'exp' and gain 'euler' or 'zoh', not "
                           f"{self.leak!r} and {self.gain!r}")

    def factors(self, dt: float, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return leak factor and input gain of one step."""
        ratio = dt / tau
        leak = np.exp(-ratio) if self.leak == "exp" else 1 - ratio
        return leak, (1 - leak if self.gain == "zoh" else ratio)


_SUBTRACT = Reset.SUBTRACT
RULES = {rule.name: rule for rule in (
    Rule(name="euler"),
    Rule(name="snntorch", double_threshold=True),
    Rule(name="norse", recurrent_bias_late=True),
    Rule(name="spinnaker2"),
    Rule(name="nengo", leak="exp", gain="zoh"),
    Rule(name="rockpool", leak="exp", reset=_SUBTRACT),
    Rule(name="sinabs", leak="exp", reset=_SUBTRACT, strict=False, multi_spike=True, clamp=True),
    Rule(name="spyx", reset=_SUBTRACT, reset_delayed=True, latency=1),
    Rule(name="lava", synapse_delay=1),
    Rule(name="lava_fixed", synapse_delay=1, fixed_point=True),
)}


def get_rule(rule: str | Rule, reset: str | Reset | None = None) -> Rule:
    """Return a rule by name, with another reset if one is given."""
    if isinstance(rule, str):
        if rule not in RULES:
            raise NirError(f"Discretisation must be one of {', '.join(map(repr, RULES))}, not {rule!r}")
        rule = RULES[rule]
    if not isinstance(rule, Rule):
        raise NirError(f"Discretisation must be a name or a Rule, not {rule!r}")
    if reset is not None:
        if reset not in ("zero", "subtract"):
            raise NirError(f"Reset must be 'zero' or 'subtract', not {reset!r}")
        rule = replace(rule, reset=Reset(reset))
    if rule.reset is not Reset.SUBTRACT:
        rule = replace(rule, double_threshold=False, reset_delayed=False, multi_spike=False)
    return rule


def compact(value: np.ndarray | float, shape: tuple[int, ...]) -> np.ndarray:
    """Return the value as an array of shape ``()``, ``(C,)`` or, if it must be, ``shape``."""
    value = np.asarray(value, np.float64)
    if value.ndim == 0 or (value == value.ravel()[0]).all():
        return value.ravel()[0]
    flat = value.reshape(shape[0], -1)
    return flat[:, 0] if (flat == flat[:, :1]).all() else value.reshape(shape)


def _time_constant(graph, name, key):
    tau = graph.nodes[name].params[key]
    if not (tau > 0).all():
        raise graph.error(name, f"{key} must be above 0 seconds, not {tau.min():g}")
    return tau


def infer_dt(graph: NirGraph, rule: Rule) -> float:
    """Return the time step that the exporter hid in ``r`` (``tau/dt``; Rockpool: ``tau/dt - 1``)."""
    found: dict[str, float] = {}
    for name, node in graph.nodes.items():
        key = {"LI": "tau", "LIF": "tau", "CubaLI": "tau_mem", "CubaLIF": "tau_mem"}.get(node.type)
        if key is None:
            continue
        steps = node.params["r"] + (1 if rule.name == "rockpool" else 0)
        if not (steps > 1).all():
            raise graph.error(name, f"r must be {key} / dt to infer dt from it, and {steps.min():g} is no "
                                    f"number of steps; give dt in seconds")
        values = _time_constant(graph, name, key) / steps
        found[name] = float(np.median(values))
        first = next(iter(found.values()))
        if np.ptp(values) > 0.01 * first or abs(found[name] - first) > 0.01 * first:
            raise graph.error(name, f"{key} / r must be one dt for the whole graph, not from "
                                    f"{values.min():g} to {values.max():g} s (first: {first:g} s); give dt")
    if not found:
        return 1.0
    return float(f"{next(iter(found.values())):.6g}")  # files hold it in float32


def neuron_parameters(graph: NirGraph, name: str, rule: Rule, dt: float | None,
                      shape: tuple[int, ...]) -> tuple[FloatLif, np.ndarray]:
    """Return a population and the gain of its input, per channel or (maps only) per neuron."""
    node: NirNode = graph.nodes[name]
    values: dict = {"bias": 0.0, "initial": 0.0}
    if node.type.startswith("Cuba"):
        alpha, in_gain = _leak(graph, name, rule, dt, "tau_syn")
        beta, mem_gain = _leak(graph, name, rule, dt, "tau_mem")
        gain = node.params.get("w_in", np.ones(())) * in_gain * node.params["r"] * mem_gain
        drive = (1 - beta) * node.params["v_leak"]
        # A constant drive of V as a constant part of I: it starts there, and stays.
        values |= {"decay": beta, "synapse_decay": alpha, "bias": drive * (1 - alpha),
                   "initial": drive * alpha, "old_current": rule.old_current}
    elif node.type in ("LI", "LIF"):
        beta, in_gain = _leak(graph, name, rule, dt, "tau")
        gain = node.params["r"] * in_gain
        values |= {"decay": beta, "bias": (1 - beta) * node.params["v_leak"]}
    elif node.type == "Threshold":
        gain, values["decay"] = np.ones(()), 0.0
    else:
        gain, values["decay"] = node.params["r"], 1.0
    values |= _firing(graph, name, rule)
    gain = compact(gain, shape)
    if gain.ndim > 1:  # weights are shared by a channel: scale the neuron instead
        if not (gain > 0).all():
            raise graph.error(name, f"gain must be above 0 where it differs within a map, not {gain.min():g}")
        values["unit"] = gain
        for key in ("bias", "initial", "threshold", "reset_value", "v_lo"):
            if values.get(key) is not None:
                value = np.asarray(values[key])
                values[key] = value.reshape(shape if value.size > 1 else ()) / gain
        gain = np.ones(())
    arrays = {k: compact(v, shape) if isinstance(v, np.ndarray | float) else v for k, v in values.items()}
    try:
        return FloatLif(shape=shape, latency=rule.latency, **arrays), gain
    except ValueError as error:
        raise graph.error(name, str(error)) from None


def _leak(graph, name, rule, dt, key):
    if dt is None:
        raise graph.error(name, f"has a time constant: dt must be given in seconds (or 'infer'), for {key} "
                                f"of {float(graph.nodes[name].params[key].ravel()[0]):g} s")
    leak, gain = rule.factors(dt, _time_constant(graph, name, key))
    if (leak < 0).any():
        raise graph.error(name, f"{key} must be at least dt = {dt:g} s for an Euler step, not "
                                f"{graph.nodes[name].params[key].min():g} s")
    return leak, gain


def _firing(graph, name, rule):
    node = graph.nodes[name]
    if node.type in ("I", "LI", "CubaLI"):
        return {"threshold": np.inf, "reset": Reset.NONE}
    if node.type == "Threshold":  # nothing is kept from step to step: what a reset does is lost
        return {"threshold": node.params["threshold"], "reset": Reset.ZERO, "strict": rule.strict}
    cuba = node.type == "CubaLIF"
    threshold, v_reset = node.params["v_threshold"], node.params.get("v_reset", np.zeros(()))
    if not (threshold > 0).all():
        raise graph.error(name, f"v_threshold must be above 0, not {threshold.min():g}")
    if rule.reset is Reset.SUBTRACT and v_reset.any():
        raise graph.error(name, "v_reset must be 0 for reset by subtraction; give reset='zero'")
    if not (v_reset < threshold).all():
        raise graph.error(name, "v_reset must be below v_threshold")
    result = {"threshold": threshold, "reset": rule.reset, "reset_value": v_reset, "strict": rule.strict,
              "double_threshold": rule.double_threshold, "reset_delayed": rule.reset_delayed and not cuba,
              "multi_spike": rule.multi_spike}
    return result | ({"v_lo": -threshold} if rule.clamp else {})
