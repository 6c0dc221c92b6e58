import pytest

from neurogen import qdi
from tests.qdi.functions import CASES


OPTIONS = [{}, {"passes": {"P6": False}}, {"buffers": "safe"}, {"passes": {"P7": False, "P11": True}},
           {"buffers": "none"}]


@pytest.mark.parametrize("function, stimuli", CASES, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_graph_is_the_function(function, stimuli, options):
    streams = qdi.check(function, stimuli, **options)
    if not function.persistent and function.mode == "checked":
        rows = [function(*(s if isinstance(s, tuple) else (s,))) for s in stimuli]
        function.reset()
        rows = [row if isinstance(row, tuple) else (row,) for row in rows]
        assert [list(s) for s in streams.values()] == [list(map(int, column)) for column in zip(*rows,
                                                                                                strict=True)]
