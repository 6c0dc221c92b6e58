"""From a network and a configuration to a plan: what runs together, and what is split how."""

from collections.abc import Iterator
from dataclasses import replace

from neurogen.mapping.check import check_configuration
from neurogen.mapping.geometry import Piece, ceil_div
from neurogen.mapping.lower import components, lower, most_spikes
from neurogen.mapping.place import Layout
from neurogen.mapping.plan import ConfigurationError, Plan, Window
from neurogen.spec.checks import check_choice
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec
from neurogen.spec.network import Network


__all__ = ["compile_network"]


_TITLES = {"state_depth": "state rows", "weight_depth": "weight rows", "spike_depth": "spike rows",
           "program_depth": "program words", "max_pool_rows": "MaxPool rows"}


def compile_network(network: Network, spec: MegaSpec, *, observe: str = "outputs",
                    name_of_config: str = "") -> Plan:
    """Return the program of a network for a configuration.

    What does not fit at once is split, in this order: populations in sequence (each pass runs over all
    steps, and its spikes come back through the stream of a later one), output channels of one
    population, spatial tiles, weights from the external memory.

    Parameters
    ----------
    observe
        "outputs": the spikes of the network's outputs leave. "all": those of every population.
    name_of_config
        What messages and reports call the configuration.

    Raises
    ------
    ConfigurationError
        If the network does not fit: with the numbers, and what would fit.
    """
    check_choice("Observed populations", observe, ("outputs", "all"))
    title = f"configuration {name_of_config!r}" if name_of_config else "the configuration"
    connections = lower(network)
    check_configuration(network, spec, connections, title)
    # A read-out never spikes: nothing to send, nothing to scan.
    connections = {name: tuple(way for way in ways if not _silent(network.nodes[way.source]))
                   for name, ways in connections.items()}
    observed = network.populations if observe == "all" else network.outputs
    compiler = _Compiler(network, spec, connections, observed, title)
    compiler.run()
    return Plan(spec, name_of_config, network.digest, compiler.strategy,
                tuple(layout.build() for layout in compiler.layouts),
                tuple(name for name in network.populations if name in observed))


def _silent(node):
    return isinstance(node, Lif) and node.reset is Reset.NONE


class _Compiler:
    def __init__(self, network, spec, connections, observed, title):
        self.network, self.spec, self.connections = network, spec, connections
        self.observed, self.title = observed, title
        self.layouts: list[Layout] = []
        self.splits: list[str] = []

    @property
    def strategy(self):
        if not self.splits:
            return "resident" if len(self.layouts) == 1 else "passes"
        return ", ".join(word for word in ("channels", "tiles", "external") if word in self.splits)

    def layout(self, *pieces):
        return Layout(self.spec, self.network, self.connections, pieces, self.observed)

    def run(self):
        current, best = (), None
        for component in components(self.network, self.connections):
            names = tuple(n for n in self.network.populations if n in current or n in component)
            trial = self.layout(*map(self.whole, names))
            if trial.fits and not self.unordered(names):
                current, best = names, trial
                continue
            if best:
                self.layouts.append(best)
            current, best = (), None
            if unordered := self.unordered(component):
                raise ConfigurationError(
                    f"Population {unordered[0]!r} clips its additions, and the spikes of "
                    f"{unordered[1]!r} must reach it in raster order: they must come through the input "
                    f"stream of a later pass, not back to it in the same step; state_bits "
                    f"{self.network.proof(unordered[0]).bits} needs no clipping")
            alone = self.layout(*map(self.whole, component))
            if alone.fits:
                current, best = component, alone
            else:
                self.layouts += self.split(component, alone)
        if best:
            self.layouts.append(best)

    def unordered(self, names) -> tuple[str, str] | None:
        """Return a population that saturates and one of the same pass whose spikes are out of order, if any.

        Spikes of maps are found tile by tile, second ones after all first ones; those of vectors in ascending
        order.
        """
        return next(((name, way.source) for name in names if self.network.nodes[name].saturate
                     for way in self.connections[name]
                     if way.source in names and (len(self.network.shapes[way.source]) == 3
                                                 or most_spikes(self.network, way.source) > 1)), None)

    def whole(self, name, loaded=False):
        return Piece(name, _window(self.network.shapes[name]), loaded)

    def split(self, names, alone):
        """Return the layouts of a component that does not fit one pass."""
        cyclic = len(names) > 1 or any(way.source == names[0] for way in self.connections[names[0]])
        tried = [alone]
        if cyclic:
            if self.spec.external:
                tried.append(self.layout(*(self.whole(name, loaded=True) for name in names)))
                if tried[-1].fits:
                    self.splits.append("external")
                    return tried[-1:]
            raise self.error(names, tried, " in one pass, because its spikes come back to it")
        for words, windows, loaded in self.candidates(names[0]):
            # The first part is the largest one.
            tried.append(self.layout(Piece(names[0], windows[0], loaded)))
            if tried[-1].fits:
                layouts = [self.layout(Piece(names[0], window, loaded)) for window in windows]
                if all(layout.fits for layout in layouts):
                    self.splits += words
                    return layouts
        raise self.error(names, tried, ", however it is split")

    def candidates(self, name) -> Iterator[tuple[list[str], list[Window], bool]]:
        """Return the ways to split a population, best first."""
        shape = self.network.shapes[name]
        unit = self.spec.total_lanes * (BANKS if len(shape) == 1 else 1)
        groups = ceil_div(shape[0], unit)
        for loaded in (False, True) if self.spec.external else (False,):
            words = ["external"] if loaded else []
            for count in range(groups, 0, -1):
                cut = ["channels"] if count < groups else []
                if cut or loaded:
                    yield words + cut, _cut(shape, count * unit, shape[1:]), loaded
            if len(shape) == 3:
                cut = [*words, "channels"] if groups > 1 else words
                for size in _tile_sizes(shape):
                    yield [*cut, "tiles"], _cut(shape, unit, size), loaded

    def error(self, names, tried, how):
        """Return the error that says what is missing, and what the attempt that came closest needs."""
        def excess(layout):
            return max(used / max(1, available) for used, available in layout.usage.values())

        best = min(tried, key=excess)
        text = " and ".join(f"{used} {_TITLES[key]} ({available} available)"
                            for key, (used, available) in _missing(tried[0]).items())
        change = self.change(best)
        advice = " and ".join(f"{key} {value}" for key, value in change.items()) + " would fit"
        if not change:
            advice = "no configuration would fit"
        elif "weight_depth" in change and not self.spec.external:
            advice += " (or external: true)"
        plural = "s" if len(names) > 1 else ""
        return ConfigurationError(f"Population{plural} {', '.join(map(repr, names))} must fit {self.title}"
                                  f"{how}: needs {text}; {advice}")

    def change(self, layout):
        """Return the parameters with which a layout would fit, empty if there are none."""
        change, pieces = {}, layout.pieces
        while missing := _missing(layout):
            # Deeper memories need wider instructions: try again with what it takes.
            change |= {key: ceil_div(used, BLOCK) * BLOCK for key, (used, _) in missing.items()}
            try:
                spec = replace(self.spec, **change)
            except ValueError:
                return {}
            layout = Layout(spec, self.network, self.connections, pieces, self.observed)
        return change


def _missing(layout):
    """Return the memories that are too small: what is used, what is available."""
    return {key: values for key, values in layout.usage.items() if values[0] > values[1]}


def _window(shape):
    return Window(0, shape[0], 0, *(shape[1:2] or (1,)), 0, *(shape[2:] or (1,)))


def _tile_sizes(shape):
    """Return heights and widths of tiles, largest first: lines of 3x3 tiles are cut before columns."""
    height, width = (ceil_div(n, 3) for n in shape[1:])
    for lines in range(height, 0, -1):
        yield lines * 3, shape[2]
    for columns in range(width - 1, 0, -1):
        yield 3, columns * 3


def _cut(shape, channels, size):
    """Return the windows of parts of at most ``channels`` and ``size`` pixels."""
    height, width = size if len(shape) == 3 else (1, 1)
    whole = _window(shape)
    return [Window(c, min(c + channels, whole.c1), y, min(y + height, whole.y1), x, min(x + width, whole.x1))
            for c in range(0, whole.c1, channels) for y in range(0, whole.y1, height)
            for x in range(0, whole.x1, width)]
