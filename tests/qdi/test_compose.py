import pytest

from neurogen.qdi import Bit, Deadlock, Stream, U, compile, process, simulate
from neurogen.qdi.compose import Link, compose


@process(width=8, mode="wrap")
def add_one(a: U[8]) -> U[8]:
    return a + 1


@process(width=8, mode="wrap")
def count_down(a: U[8]) -> U[8]:
    steps = 0
    while a > 3:
        a = a - 3
        steps = steps + 1
    return steps


@process(width=8, mode="wrap")
def repeat(x: Stream[U[8]], own: Stream[U[8]]) -> U[8]:
    """Yields each token of x, then what it has yielded, plus 1."""
    heard = 0
    while True:
        if heard:
            a = next(own) + 1
        else:
            a = next(x)
        yield a
        heard = heard == 0


def test_parts_work_one_after_the_other():
    whole = compose("both", {"one": compile(add_one), "two": compile(count_down)},
                    [Link(("one", "o"), (("two", "a", 2),))])
    whole.verify()
    tokens = [0, 1, 9, 30, 254]
    assert simulate(whole, {"a": tokens}, expect=5).outputs == {"o": [count_down(add_one(t)) for t in tokens]}
    assert {node.region.split("/")[0] for node in whole.blocks} == {"one", "two", "two.a"}
    assert all(node.loc is not None for node in whole.blocks if node.id.startswith("two.sub"))


def test_a_result_can_leave_and_go_on():
    parts = {"one": compile(add_one), "two": compile(count_down)}
    whole = compose("both", parts, [Link(("one", "o"), (("two", "a", 1),), output="sum")])
    assert simulate(whole, {"a": [9]}, expect=1).outputs == {"o": [3], "sum": [10]}


@pytest.mark.parametrize("depth", [1, 4])
def test_a_part_can_hear_itself(depth):
    link = Link(("r", "o"), (("r", "own", depth),), output="o")
    whole = compose("echo", {"r": compile(repeat)}, [link])
    whole.verify()
    # It hears every token, also its echoes: 7, 7 + 1, then 5, and the first echo, 8 + 1.
    assert simulate(whole, {"x": [7, 5]}, expect=4).outputs == {"o": [7, 8, 5, 9]}


def test_a_queue_that_is_too_short_is_a_deadlock():
    link = Link(("r", "o"), (("r", "own", 1),), output="o")
    whole = compose("echo", {"r": compile(repeat)}, [link])
    with pytest.raises(Deadlock):
        simulate(whole, {"x": list(range(30))}, expect=60)


@pytest.mark.parametrize("links, text", [
    ([Link(("one", "p"), (("two", "a", 1),))], "Link must name an output that is free, not 'p' of 'one'"),
    ([Link(("one", "o"), (("two", "b", 1),))], "Link must name an input that is free, not 'b' of 'two'"),
    ([Link(("one", "o"), (("two", "a", 0),))], "Depth of a link must be at least 1 tokens, not 0"),
    ([Link(("bit", "o"), (("two", "a", 1),))],
     "Link must join ports of one width, not 1 bits of bit.o and 8 of two.a"),
    ([], "Ports of both must have different names, not 'a' twice"),
])
def test_wrong_links_are_errors(links, text):
    @process
    def bit(b: Bit) -> Bit:
        return not b

    parts = {"one": compile(add_one), "two": compile(count_down), "bit": compile(bit)}
    with pytest.raises(ValueError) as caught:
        compose("both", parts, links)
    assert str(caught.value) == text
