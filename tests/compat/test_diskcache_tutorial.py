"""What the tutorial and the API pages of diskcache show, statement by statement, on diskcache and on ours.

A chapter is a list of statements. One with an expected result is an expression, and gives just this, as `repr` writes
it; one whose expected result is an exception class raises it.

The documentation also shows `JSONDisk` and a `Disk` of one's own, which are refused here (`test_diskcache_folder.py`),
and `DjangoCache`, which is not here.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from diskcaches import close

DONE = object()  # a statement without a result

CHAPTERS: dict[str, list[tuple[str, Any]]] = {
    "opening": [
        ("cache = dc.Cache()", DONE),
        ("cache.close()", None),
        ("with dc.Cache(cache.directory) as reference:\n    reference.set('key', 'value')", DONE),
        ("cache.close()", None),
        ("cache.get('key')  # opens itself again", "value"),
    ],
    "items": [
        ("cache = dc.Cache()", DONE),
        ("cache['key'] = 'value'", DONE),
        ("cache['key']", "value"),
        ("'key' in cache", True),
        ("del cache['key']", DONE),
        ("cache['key']", KeyError),
        ("import io", DONE),
        ("cache.set('key', io.BytesIO(b'value'), expire=5, read=True, tag='data')", True),
        ("result = cache.get('key', read=True, expire_time=True, tag=True)", DONE),
        ("reader, timestamp, tag = result", DONE),
        ("reader.read().decode()", "value"),
        ("reader.close()", None),
        ("type(timestamp).__name__", "float"),
        ("tag", "data"),
        ("cache.set('key', 'value', expire=5)", True),
        ("cache.touch('key', expire=None)", True),
        ("cache.touch('does-not-exist', expire=1)", False),
        ("cache.add(b'test', 123)", True),
        ("cache[b'test']", 123),
        ("cache.add(b'test', 456)", False),
        ("cache[b'test']", 123),
        ("cache.incr(b'test')", 124),
        ("cache.decr(b'test', 24)", 100),
        ("cache.incr('alice')", 1),
        ("cache.decr('bob', default=-9)", -10),
        ("cache.incr('carol', default=None)", KeyError),
        ("cache.pop('alice')", 1),
        ("cache.pop('dave', default='does not exist')", "does not exist"),
        ("cache.set('dave', 0, expire=None, tag='admin')", True),
        ("result = cache.pop('dave', expire_time=True, tag=True)", DONE),
        ("value, timestamp, tag = result", DONE),
        ("(value, timestamp, tag)", (0, None, "admin")),
        ("cache.get('key', default=dc.ENOVAL) is dc.ENOVAL", False),
        ("cache.get('none', default=dc.ENOVAL) is dc.ENOVAL", True),
    ],
    "expiry and removal": [
        ("cache = dc.Cache()", DONE),
        ("cache.reset('cull_limit', 0)  # writes evict nothing now", 0),
        ("for num in range(10):\n    _ = cache.set(num, num, expire=1e-9)", DONE),
        ("len(cache)", 10),
        ("list(cache)", list(range(10))),
        ("wait_a_moment()", None),
        ("cache.expire()", 10),
        ("len(cache)", 0),
        ("for num in range(100):\n    _ = cache.set(num, num, tag='odd' if num % 2 else 'even')", DONE),
        ("cache.evict('even')", 50),
        ("cache.clear()", 50),
        ("cache = reopened(dc.Cache(tag_index=True))", DONE),
        ("cache.tag_index", 1),
        ("cache.drop_tag_index()", None),
        ("cache.tag_index", 0),
        ("cache.create_tag_index()", None),
        ("cache.tag_index", 1),
        ("cache.reset('size_limit', int(1e6))", 1000000),
        ("cache.reset('cull_limit', 0)", 0),
        ("for count in range(1000):\n    cache[count] = b'A' * 1000", DONE),
        ("cache.volume() > int(1e6)", True),
        ("cache.cull() > 0", True),
        ("cache.volume() < int(1e6)", True),
        ("len(cache) == cache.clear()", True),
    ],
    "order and queues": [
        ("cache = dc.Cache()", DONE),
        ("for letter in 'abc':\n    cache[letter] = letter.upper()", DONE),
        ("cache.peekitem()", ("c", "C")),
        ("cache.peekitem(last=False)", ("a", "A")),
        ("list(reversed(cache))", ["c", "b", "a"]),
        ("cache.clear()", 3),
        ("for key in [4, 1, 3, 0, 2]:\n    cache[key] = key", DONE),
        ("list(cache.iterkeys())", [0, 1, 2, 3, 4]),
        ("list(cache.iterkeys(reverse=True))", [4, 3, 2, 1, 0]),
        ("list(cache)", [4, 1, 3, 0, 2]),
        ("cache.clear()", 5),
        ("cache.pull()", (None, None)),
        ("cache.push('first')", 500000000000000),
        ("cache.push('second')", 500000000000001),
        ("cache.push('zeroth', side='front')", 499999999999999),
        ("cache.push(1234, prefix='userids')", "userids-500000000000000"),
        ("cache.get(500000000000000)", "first"),
        ("cache.peek()", (499999999999999, "zeroth")),
        ("cache.peek(side='back')", (500000000000001, "second")),
        ("cache.pull()", (499999999999999, "zeroth")),
        ("cache.pull(side='back')", (500000000000001, "second")),
        ("cache.pull('userids')", ("userids-500000000000000", 1234)),
        ("cache.pull('userids', default=('no', 'one'))", ("no", "one")),
    ],
    "memoize, transactions, statistics": [
        ("cache = dc.Cache()", DONE),
        (
            "@cache.memoize(expire=60, tag='fib')\ndef fib(number):\n"
            "    return number if number < 2 else fib(number - 1) + fib(number - 2)",
            DONE,
        ),
        ("fib(100)", 354224848179261915075),
        ("cache[fib.__cache_key__(100)]", 354224848179261915075),
        ("@cache.memoize\ndef test():\n    pass", TypeError),
        ("with cache.transact():\n    _ = cache.incr('total', 123.4)\n    _ = cache.incr('count', 1)", DONE),
        ("with cache.transact():\n    average = cache['total'] / cache['count']", DONE),
        ("average", 123.4),
        ("cache.evict('fib')", 101),
        ("cache.clear()", 2),
        ("cache.stats(enable=True)", (0, 0)),
        ("for num in range(100):\n    _ = cache.set(num, num)", DONE),
        ("for num in range(150):\n    _ = cache.get(num)", DONE),
        ("cache.stats(enable=False, reset=True)", (100, 50)),
        ("cache.volume() > 0", True),
        ("cache.check()", []),
    ],
    "settings": [
        ("cache = dc.Cache(size_limit=int(4e9))", DONE),
        ("cache.size_limit", 4000000000),
        ("cache.disk_min_file_size", 32768),
        ("cache.reset('cull_limit', 0)", 0),
        ("cache.cull_limit", 0),
        ("cache.eviction_policy", "least-recently-stored"),
        ("cache.reset('eviction_policy', 'least-frequently-used')", "least-frequently-used"),
        ("cache = reopened(dc.Cache(cache.directory, eviction_policy='none'))", DONE),
        ("(cache.eviction_policy, cache.size_limit, cache.cull_limit)", ("none", 4000000000, 0)),
        (
            "sorted(dc.EVICTION_POLICY)",
            ["least-frequently-used", "least-recently-stored", "least-recently-used", "none"],
        ),
        ("dc.DEFAULT_SETTINGS['size_limit']", 1073741824),
        ("cache.reset('sqlite_mmap_size', 2**20)", 1048576),
        ("cache.sqlite_mmap_size", 1048576),
    ],
    "FanoutCache": [
        ("cache = dc.FanoutCache(shards=4, timeout=1)", DONE),
        ("cache.set('a', 1, tag='t')", True),
        ("cache.get('a', tag=True)", (1, "t")),
        ("cache.incr('n', 5)", 5),
        ("cache.stats(enable=True)", (0, 0)),
        ("cache['a'], cache.get('b')", (1, None)),
        ("cache.stats()", (1, 1)),
        ("len(cache)", 2),
        ("sorted(cache)", ["a", "n"]),
        ("cache.size_limit", 268435456.0),
        ("cache.timeout", 1),
        ("with cache.transact():\n    _ = cache.incr('total', 123.4)\n    _ = cache.incr('count', 1)", DONE),
        ("cache['total'] / cache['count']", 123.4),
        ("cache.evict('t')", 1),
        ("part = cache.cache('test')", DONE),
        ("part.set('abc', 123)", True),
        ("len(part), len(cache)", (1, 3)),
        ("cache.cache('test') is part", True),
        ("deque = cache.deque('test')", DONE),
        ("deque.extend('abc')", None),
        ("deque.popleft(), deque.pop(), len(deque)", ("a", "c", 1)),
        ("index = cache.index('test')", DONE),
        ("index.update(abc=123, ghi=456)", None),
        ("index.popitem(), len(index)", (("ghi", 456), 1)),
        ("cache.clear()", 3),
        ("@cache.memoize(typed=True, expire=1, tag='fib')\ndef double(x):\n    return 2 * x", DONE),
        ("double(2), double(2.0), len(cache)", (4, 4.0, 2)),
    ],
    "Deque": [
        ("deque = dc.Deque(range(5))", DONE),
        ("list(deque)", [0, 1, 2, 3, 4]),
        ("for value in range(5):\n    deque.appendleft(-value)", DONE),
        ("len(deque)", 10),
        ("list(deque)", [-4, -3, -2, -1, 0, 0, 1, 2, 3, 4]),
        ("deque.pop(), deque.popleft()", (4, -4)),
        ("deque.reverse()", None),
        ("list(deque)", [3, 2, 1, 0, 0, -1, -2, -3]),
        ("deque[1], deque[-2]", (2, -2)),
        ("deque[0] = 'a'", DONE),
        ("del deque[-1]", DONE),
        ("list(deque)", ["a", 2, 1, 0, 0, -1, -2]),
        ("deque.rotate(2)", None),
        ("deque.rotate(-1)", None),
        ("list(deque)", [-2, "a", 2, 1, 0, 0, -1]),
        ("deque.count(0), deque.peek(), deque.peekleft()", (2, -1, -2)),
        ("deque.remove(0)", None),
        ("deque.remove('no')", ValueError),
        ("deque.maxlen = 3", DONE),
        ("list(deque)", [1, 0, -1]),
        ("deque += 'xy'", DONE),
        ("deque == [-1, 'x', 'y'], deque < [5], deque != 'abc'", (True, True, True)),
        ("deque.clear()", None),
        ("deque.pop()", IndexError),
        ("deque.peek()", IndexError),
        ("deque[0]", IndexError),
        ("other = reopened(dc.Deque('abc', deque.directory))", DONE),
        ("list(deque)", ["a", "b", "c"]),
    ],
    "Index": [
        ("index = dc.Index([('a', 1), ('b', 2), ('c', 3)])", DONE),
        ("index['a'], list(index), len(index)", (1, ["a", "b", "c"], 3)),
        ("index['d']", KeyError),
        ("del index['b']", DONE),
        ("index.popitem(), index.popitem(last=False)", (("c", 3), ("a", 1))),
        ("index.popitem()", KeyError),
        ("index.setdefault('a', 0), index.setdefault('a', 1)", (0, 0)),
        ("index.pop('a'), index.pop('b', default=3)", (0, 3)),
        ("index.pop('c')", KeyError),
        ("index.push('apples'), index.push('beans')", (500000000000000, 500000000000001)),
        ("index.push('dates', prefix='fruit')", "fruit-500000000000000"),
        ("index.pull(), index.pull(side='back'), index.pull('veg')", (
            (500000000000000, "apples"), (500000000000001, "beans"), (None, None))),
        ("index.clear()", None),
        ("index.update({'x': 1, 'y': 2}, z=3)", None),
        ("index.peekitem(), index.peekitem(last=False)", (("z", 3), ("x", 1))),
        ("list(reversed(index))", ["z", "y", "x"]),
        ("'x' in index.keys(), 2 in index.values(), ('z', 3) in index.items()", (True, True, True)),
        ("index == {'z': 3, 'y': 2, 'x': 1}, index != {'x': 1}", (True, True)),
        ("import collections", DONE),
        ("index == collections.OrderedDict([('z', 3), ('y', 2), ('x', 1)])", False),
        ("inventory = reopened(dc.Index(index.directory, w=4))", DONE),
        ("dict(index)", {"x": 1, "y": 2, "z": 3, "w": 4}),
        ("inventory == index", True),
        ("@index.memoize()\ndef double(x):\n    return 2 * x", DONE),
        ("double(4), index[double.__cache_key__(4)]", (8, 8)),
        ("with index.transact():\n    index['total'] = index.get('total', 0) + 123.4", DONE),
        ("index['total']", 123.4),
    ],
    "recipes": [
        ("cache = dc.FanoutCache()", DONE),
        ("average = dc.Averager(cache, 'latency')", DONE),
        ("average.add(0.080), average.add(0.120)", (None, None)),
        ("average.get()", 0.1),
        ("average.add(0.160)", None),
        ("round(average.pop(), 9)", 0.12),
        ("average.get()", None),
        ("lock = dc.Lock(cache, 'report-123')", DONE),
        ("lock.acquire()", None),
        ("lock.locked(), 'report-123' in cache", (True, True)),
        ("lock.release()", None),
        ("with lock:\n    pass", DONE),
        ("lock.locked()", False),
        ("rlock = dc.RLock(cache, 'user-123')", DONE),
        ("rlock.acquire(), rlock.acquire(), rlock.release()", (None, None, None)),
        ("with rlock:\n    pass", DONE),
        ("rlock.release()", None),
        ("rlock.release()", AssertionError),
        ("semaphore = dc.BoundedSemaphore(cache, 'max-cons', value=2)", DONE),
        ("semaphore.acquire(), semaphore.acquire(), semaphore.release()", (None, None, None)),
        ("with semaphore:\n    pass", DONE),
        ("semaphore.release()", None),
        ("semaphore.release()", AssertionError),
        ("@dc.barrier(cache, dc.Lock)\ndef work(num):\n    return num + 1", DONE),
        ("work(1)", 2),
        ("@dc.memoize_stampede(cache, expire=60)\ndef triple(x):\n    return 3 * x", DONE),
        ("triple(5), triple(5)", (15, 15)),
        ("cache[triple.__cache_key__(5)][0]", 15),
        ("del cache[triple.__cache_key__(5)]", DONE),
        ("now, naps = [0.0], []", DONE),
        ("def nap(seconds):\n    naps.append(round(seconds, 6))\n    now[0] += seconds", DONE),
        (
            "@dc.throttle(cache, 2, 1, time_func=lambda: now[0], sleep_func=nap)\ndef tick():\n    return now[0]",
            DONE,
        ),
        ("tick(), tick(), tick(), tick()", (0.0, 0.0, 0.5, 1.0)),
        ("naps", [0.5, 0.5]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter(dc: ModuleType, chapter: str, now: Any) -> None:
    opened: list[Any] = []
    names: dict[str, Any] = {
        "dc": dc, "wait_a_moment": lambda: now.advance(1), "reopened": lambda cache: opened.append(cache) or cache,
        "__name__": __name__,
    }  # fmt: skip
    try:
        for statement, expected in CHAPTERS[chapter]:
            opened += [
                one for kind in ("cache", "deque", "index") if (one := names.get(kind)) is not None
                and not any(one is other for other in opened)
            ]
            run(statement, expected, names)
    finally:
        for one in opened:
            close(one)


def run(statement: str, expected: Any, names: dict[str, Any]) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            exec(statement, names)
    elif expected is DONE:
        exec(statement, names)
    else:
        found = eval(statement, names)
        assert repr(found) == repr(expected), statement
