"""Functions of the subset for tests, one construct each."""

from neurogen.qdi import Bit, Mem, Rom, S, State, Stream, U, process


WEIGHTS = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3)


@process(width=8, mode="wrap")
def loop_test(a):
    for i in range(7):
        a = a + i + 1
    return a


@process(width=8)
def if_neuron(spk: U[16], p: U[8]) -> tuple[Bit, U[8]]:
    for i in range(16):
        if spk[i]:
            p = p + WEIGHTS[i]
    fire = p >= 100
    if fire:
        p = 0
    return fire, p


@process(width=8)
def gcd(a, b):
    while a != b:
        if a > b:
            a -= b
        else:
            b -= a
    return a


@process(width=8)
def accumulate(x, s: State[U[8]] = 5):
    s = s + x
    if s > 100:
        s = 0
    return s


@process(width=8)
def divide(a: U[8], b: U[8]) -> U[8]:
    n = 0
    while True:
        if a < b:
            break
        a -= b
        n += 1
    return n


@process(width=8)
def early(a: U[8], b: S[8]) -> S[9]:
    if a > 100:
        return -1
    for i in range(a):
        if i == 50:
            return 7
        if i & 1 and b > 100:
            continue
        b = b + 1
        if b == 20:
            break
    other = 3
    if b < 0:
        b = -b
    elif b == 20:
        b = 99
    elif b > 5:
        b = 5
    else:
        b = other
    return b


@process
def running(xs: Stream[U[8]]):
    total = 0
    for x in xs:
        if x > 10:
            total = total + 1
        yield total


@process(width=8)
def latch(xs: Stream[U[8]], ys: Stream[U[8]]):
    held = 0
    while True:
        x = next(xs)
        if x & 1:
            held = next(ys)
        yield held, x >> 1


def both(x, y):
    return x + y, x ^ y


@process(width=8)
def calls(a, b):
    s, x = both(a, 3)
    return min(s, b), x


@process(width=8)
def histogram(a: U[4], m: Mem[U[8], 16] = (0,) * 16) -> U[8]:
    m[a] += 1
    return m[a]


@process(width=8)
def table(i: U[4], w: Rom[U[8], 16] = WEIGHTS) -> U[8]:
    return w[i] << 2 | w[3]


@process(width=8, signed=True)
def signs(a, b):
    x = a if a < b else b
    y = abs(x) - (a >> 1)
    z: S[4] = x % 4
    return x, y, z, -a <= b, a // 4


@process(width=8, mode="wrap")
def wraps(a, b):
    c = a * b - 3
    d = ~c ^ (a << 3)
    return c, d, U[4](d), (a - b) >> 1


@process(width=8)
def shifts(a: U[8], n: U[3]) -> tuple[U[8], Bit, U[4]]:
    return a >> n, a[n], a[2:6]


CASES = [
    (loop_test, [0, 1, 2, 250]),
    (if_neuron, [(0, 0), (0xffff, 0), (0xffff, 40), (0x1234, 9)]),
    (gcd, [(12, 18), (7, 7), (35, 21)]),
    (accumulate, [10, 20, 80, 3]),
    (divide, [(10, 3), (100, 7), (1, 2)]),
    (early, [(101, 0), (60, -100), (60, 10), (4, 1), (3, -10), (10, 2), (0, 0), (9, 101)]),
    (running, {"xs": [1, 20, 5, 11, 200]}),
    (latch, {"xs": [0, 3, 4, 5, 7], "ys": [9, 8, 7]}),
    (calls, [(1, 2), (100, 150)]),
    (histogram, [1, 2, 1, 1, 2, 0]),
    (table, [0, 5, 15]),
    (signs, [(3, -4), (-3, 4), (-60, 100), (0, 0)]),
    (wraps, [(3, 200), (255, 255), (0, 0)]),
    (shifts, [(0b10110010, n) for n in range(8)]),
]
