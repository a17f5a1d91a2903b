"""Arrays, scalars and dtypes of NumPy in pickles of others: which are read, and what is refused."""

from __future__ import annotations

import base64
import contextlib
import io
import pickle as stdlib
import pickletools
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy_1_pickles
import pytest

from store import Store, importers
from store.codecs import pickle
from store.errors import Corrupt, StoreError, Untrusted

np: Any = pytest.importorskip("numpy", reason="numpy is not installed: arrays of others are not tested")

CORE = np._core if hasattr(np, "_core") else np.core
RECONSTRUCT, SCALAR = CORE.multiarray._reconstruct, CORE.multiarray.scalar
FROM_BUFFER = CORE.numeric._frombuffer
ALIGNED = np.dtype([("a", "i1"), ("b", "<f8")], align=True)
TITLED = np.dtype([(("a title", "a"), "<i4"), ("b", "<f8", (2,))])
SPARSE = np.dtype({"names": ["a", "b"], "formats": ["<i2", "<U2"], "offsets": [9, 0], "itemsize": 16})
NESTED = np.dtype([("in", [("x", "<f4"), ("y", TITLED, (2, 1))]), ("void", "V3")])
RECORD = np.dtype((np.record, [("a", "<i4")]))

pytestmark = pytest.mark.filterwarnings("ignore:.*sealed with a key")


def same(one: Any, other: Any) -> bool:
    """Equal to the last byte, of one type and dtype, and laid out alike."""
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and one.dtype.isalignedstruct == other.dtype.isalignedstruct
        and one.shape == other.shape
        and one.tobytes() == other.tobytes()
        and (np.isscalar(one) or one.flags.fnc == other.flags.fnc)
    )


def filled(dtype: Any, shape: Any) -> Any:
    made = np.zeros(shape, dtype)
    flat = made.reshape(-1).view(np.uint8) if made.nbytes else made
    if np.dtype(dtype).kind in "iufcmMSV" and np.dtype(dtype) not in (NESTED, SPARSE):
        flat[...] = np.arange(flat.size) % 120
    return made


KINDS = (
    "? i1 <i2 >i4 <i8 u1 >u2 <u4 <u8 <f2 >f4 <f8 <c8 >c16 <M8[D] >M8[25us] <M8 <m8[ns] <m8 S3 <U2 >U2 V5 S0 U0"
).split()
PLAIN = [
    *(filled(kind, (2, 3)) for kind in KINDS),
    *(filled(dtype, 4) for dtype in (ALIGNED, TITLED, SPARSE, NESTED, RECORD, np.dtype([]))),
    np.array([["a", "é€"], ["\U0001f600", "\ud800"]]), np.array([b"a\0b", b""]), np.array(["2024-02-29", "NaT"], "M8[s]"),
    np.array([True, False]), np.array([np.nan, -0.0, np.inf]), np.arange(6.0).reshape(2, 3), np.arange(10_000),
    np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
    np.arange(12, dtype=">i4")[::2], np.arange(12).reshape(3, 4)[:, 1:3], np.broadcast_to(np.arange(3), (2, 3)),
    np.array(5), np.zeros((0, 3)), np.zeros((2, 0), order="F"), np.zeros((1,) * 32), np.zeros(2, "g") + 1.5,
]  # fmt: skip
SCALARS = [
    *(filled(kind, 1)[0] for kind in KINDS if kind not in ("S0", "U0")), np.True_, np.float64(1.5), np.str_("é"),
    np.bytes_(b"ab"), np.str_(""), np.bytes_(b""), np.datetime64("2024-01-01T00", "h"), np.timedelta64(3, "W"),
    *(filled(dtype, 1)[0] for dtype in (ALIGNED, TITLED, SPARSE, NESTED, RECORD)), np.longdouble(2.5),
]  # fmt: skip


def shown(value: Any) -> str:
    return f"{type(value).__name__} {value.dtype} {value.shape}"


KEPT, AGAIN = b"q\xc8", b"h\xc8"  # a place in the memo


def bare(value: Any) -> bytes:
    """Its opcodes, without what frames a pickle, and without the memo."""
    return pickletools.optimize(stdlib.dumps(value, 3))[2:-1]


def on_kept(kind: str, size: int) -> bytes:
    """The opcodes for an array on the buffer that is in the memo."""
    return bare(Made(FROM_BUFFER, "here", np.dtype(kind), (size,), "C")).replace(bare("here"), AGAIN)


class Made:
    """Pickles as a call with those arguments, and a state."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.parts = function, args, state

    def __reduce__(self) -> Any:
        return self.parts[:2] if self.parts[2] is None else self.parts


def dtype(kind: Any, *state: Any, **changes: Any) -> Made:
    """A dtype of that state, which is one of a number unless said otherwise."""
    given = {"order": "<", "subarray": None, "names": None, "fields": None, "size": -1, "alignment": -1, "flags": 0}
    return Made(np.dtype, kind, False, True, state=state or (3, *(given | changes).values()))


def structured(size: int, fields: dict[str, Any], **changes: Any) -> Made:
    return dtype(
        changes.pop("kind", f"V{size}"),
        **{"order": "|", "names": tuple(fields), "fields": fields, "size": size, "alignment": 1, "flags": 16} | changes,
    )


def array(kind: Any, shape: Any = (1,), data: Any = b"\0" * 8, is_fortran: Any = False) -> Made:
    return Made(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, shape, kind, is_fortran, data))


def loaded(value: Any, protocol: int = 5, **options: Any) -> Any:
    return pickle.loads(stdlib.dumps(value, protocol), **options)


# -- what is read


@pytest.mark.parametrize("value", [*PLAIN, *SCALARS], ids=shown)
def test_plain_array_or_scalar(value: Any) -> None:
    for protocol in range(6):
        found = loaded({"in": [value, (value,)]}, protocol)["in"]
        assert same(found[0], value) or (protocol < 5 and value.nbytes == 0 and found[0].shape == value.shape)
        assert found[1][0] is found[0]  # it is one, as it was


@pytest.mark.parametrize("value", PLAIN, ids=shown)
def test_array_whose_data_is_beside_it(value: Any) -> None:
    buffers: list[Any] = []
    body = stdlib.dumps([value], 5, buffer_callback=buffers.append)
    for given in (buffers, [bytearray(buffer.raw()) for buffer in buffers], [bytes(buffer.raw()) for buffer in buffers]):
        assert same(pickle.loads(body, buffers=given)[0], value)


@pytest.mark.parametrize("value", [np.arange(5), np.arange(5)[::2], np.array(["a"])], ids=shown)
def test_array_can_be_changed_where_the_stdlibs_can(value: Any) -> None:
    value.flags.writeable = False
    for protocol in range(6):
        for original in (value, value.copy()):
            body = stdlib.dumps(original, protocol)
            assert pickle.loads(body).flags.writeable == stdlib.loads(body).flags.writeable


def test_buffers_beside_a_pickle_are_not_copied() -> None:
    memory = bytearray(8_000_000)
    value = np.frombuffer(memory, "<f8")
    buffers: list[Any] = []
    body = stdlib.dumps(value, 5, buffer_callback=buffers.append)
    tracemalloc.start()
    found = pickle.loads(body, buffers=buffers)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    memory[:8] = b"\1" * 8
    assert found[0] == value[0] != 0


def test_two_arrays_never_share_what_one_of_them_may_change() -> None:
    """Else a byte that is no bool could be written into an array of bools through the one beside it."""
    data = bytearray(8)
    buffers = [bytearray(8)]
    first, second, kept = loaded(
        [Made(FROM_BUFFER, data, np.dtype(kind), (8,), "C") for kind in ("u1", "?")] + [data]
    )
    first[:] = 7
    assert second.tolist() == [False] * 8 and kept == bytearray(8)
    body = b"\x80\x05(\x97" + KEPT + b"".join(on_kept(kind, 8) for kind in ("u1", "?")) + b"t."
    _, first, second = pickle.loads(body, buffers=buffers)
    first[:] = 7
    assert second.tolist() == [False] * 8


@pytest.mark.parametrize("value", [np.dtype(kind) for kind in [*KINDS, ALIGNED, TITLED, SPARSE, NESTED, RECORD]], ids=repr)
def test_dtype_alone(value: Any) -> None:
    for protocol in range(6):
        found = loaded([value, {value: 1}], protocol)
        assert found[0] == value and found[0].isalignedstruct == value.isalignedstruct
        assert list(found[1]) == [value]


def test_scalar_types_are_values() -> None:
    for kind in (np.float64, np.bool_, np.int8, np.str_, np.void, np.ndarray, np.dtype):
        assert loaded([kind])[0] is kind


def test_scalars_are_keys() -> None:
    table = {np.int64(3): 1, np.float32(1.5): 2, np.str_("a"): 3, np.datetime64("2024"): 4, (np.int8(1), "x"): 5}
    assert loaded(table) == table
    assert loaded({np.int64(index) for index in range(1000)}) == set(range(1000))


NUMPY_1 = {
    "float": np.arange(3.0), "big endian": np.array([1, 2], ">i4"), "strided": np.arange(6, dtype="<u4")[::2],
    "fortran": np.asfortranarray(np.arange(4, dtype="<i2").reshape(2, 2)), "scalar": np.float64(1.5),
    "bool": np.array([True, False]), "text": np.array(["a", "é€"]), "bytes": np.array([b"ab", b"c"]),
    "moments": np.array(["2024-02-29"], "<M8[25us]"), "span": np.full((), 5, "<i8").view("<m8")[()], "empty": np.zeros((0, 3)),
    "structured": np.array([(1, (2.5, 3.5))], [(("a title", "a"), "<i4"), ("b", "<f8", (2,))]),
    "aligned": np.array([(1, 2.5)], ALIGNED), "record": np.array([(7,)], RECORD), "no dimension": np.array(5, "<i8"),
}  # fmt: skip


@pytest.mark.parametrize("name, protocol, text", numpy_1_pickles.BY_PYTHON_3, ids=str)
def test_pickle_of_numpy_1(name: str, protocol: int, text: str) -> None:
    check_golden(pickle.loads(base64.b64decode(text)), NUMPY_1[name])


@pytest.mark.parametrize("name, protocol, text", numpy_1_pickles.BY_PYTHON_2, ids=str)
def test_pickle_of_numpy_1_under_python_2(name: str, protocol: int, text: str) -> None:
    expected = NUMPY_1[name] if name != "structured" else NUMPY_1[name].astype([("a", "<i4"), ("b", "<f8", (2,))])
    check_golden(pickle.loads(base64.b64decode(text), encoding="latin1"), expected)


def check_golden(found: Any, expected: Any) -> None:
    if expected.dtype.isalignedstruct:  # what is between its fields is at random
        assert found.tolist() == expected.tolist() and found.dtype.isalignedstruct and found.dtype == expected.dtype
    else:
        assert same(found, expected)


def test_names_of_both_versions_of_numpy() -> None:
    for protocol in (2, 4, 5):
        body = stdlib.dumps([np.arange(3), np.float64(1)], protocol)
        for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
            body = _renamed(body, old, new)
            assert pickle.loads(body)[0].tolist() == [0, 1, 2]


def _renamed(body: bytes, old: bytes, new: bytes) -> bytes:
    """The module called otherwise, without frames, whose sizes would no longer be right."""
    body = body.replace(body[2:11], b"") if body[2:3] == b"\x95" else body
    for module in (b".multiarray", b".numeric"):
        for name in (old, new):
            size = len(name + module)
            body = body.replace(bytes([0x8C, size]) + name + module, bytes([0x8C, len(new + module)]) + new + module)
        body = body.replace(b"c" + old + module, b"c" + new + module)
    return body


def test_numpy_is_not_imported_for_records_without_arrays() -> None:
    program = (
        "import sys; from store.codecs import pickle; from store.codecs.pickle import description as d; from store.errors import Untrusted\n"
        "pickle.loads(pickle.dumps([1, {'a': 2.5}]))\n"
        "for body in (b'cnumpy\\nload\\n.', b'cnumpy.core.multiarray\\nfrombuffer\\n.', b'cnumpy.ctypeslib\\nload\\n.'):\n"
        "    try: pickle.loads(body)\n"
        "    except Untrusted: pass\n"
        "d.describe(b'cnumpy\\nndarray\\n.')\n"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


# -- in stores, messages and imports


def test_arrays_of_another_key(place: str) -> None:
    values = {
        "small": np.arange(6.0).reshape(2, 3), "large": np.ones(300_000), "large F": np.ones((600, 500), order="F"),
        "nested": {"x": [np.arange(3)], "y": np.full(200_000, 1.5)}, "scalar": np.float64(2), "bools": np.ones(2_000_000, "?"),
    }  # fmt: skip
    with Store[Any](place, key=b"a" * 32) as s:
        s.update(values)
    for mmap in (True, False):
        with Store[Any](place, key=b"b" * 32, mmap=mmap) as s:
            assert repr(dict(s)) == repr(values)
            s["large"][0] = 5  # nobody else's memory
            assert s["large"][0] == 1
    with Store[Any](place, key=b"b" * 32, trust="own") as s, pytest.raises(Untrusted):
        s["small"]


def test_arrays_need_no_key_to_be_written(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from store.trust.keys.ring import NoKeys

    with Store[Any](place) as s:
        monkeypatch.setattr(s.opened.values.sealer, "keyring", NoKeys())
        s.update(small=np.arange(3), large=np.zeros(300_000))
        assert (s["small"].tolist(), s["large"].sum()) == ([0, 1, 2], 0)


@pytest.mark.parametrize("codec", ["pickle", "numpy", "auto"])
def test_messages_have_arrays_without_a_key(codec: str) -> None:
    from store.messages import stream as messages

    file = io.BytesIO()
    messages.send(file, np.arange(50_000), codec=codec)
    file.seek(0)
    assert messages.receive(file).sum() == sum(range(50_000))


@pytest.mark.parametrize("kind", ["pickles", "shelve", "diskcache", "joblib"])
def test_imports_have_arrays_without_trust(kind: str, tmp_path: Path, path: Path) -> None:
    values = {"a": np.arange(3), "b": {"x": np.asfortranarray(np.ones((300, 200)))}, "c": np.float32(1.5)}
    source = _written(kind, tmp_path / "source", values)
    with Store[Any](path) as s:
        results = {found.name: (found.outcome, found.why) for found in importers.import_into(s, kind, source)}
        assert results == dict.fromkeys(values, ("imported", ""))
        assert repr(dict(sorted(s.items()))) == repr(values)


def _written(kind: str, place: Path, values: dict[str, Any]) -> Path:
    if kind == "shelve":
        import shelve

        with shelve.open(place) as shelf:
            shelf.update(values)
        return next(file for file in place.parent.iterdir() if file.name.startswith(place.name))
    library = pytest.importorskip(kind, reason=f"{kind} is not installed") if kind != "pickles" else stdlib
    if kind == "diskcache":
        with library.Cache(place) as cache:
            for name, value in values.items():
                cache[name] = value
        return place
    place.mkdir()
    for name, value in values.items():
        with open(place / f"{name}.{'pickle' if kind == 'pickles' else 'joblib'}", "wb") as file:
            library.dump(value, file)
    return place


# -- what is refused


def field(kind: Any, offset: Any = 0, *more: Any) -> Any:
    return (kind, offset, *more)


F8, I4 = np.dtype("<f8"), np.dtype("<i4")
WRONG: dict[str, Callable[[], Any]] = {
    "field past its element": lambda: structured(8, {"a": field(F8, 1)}),
    "field far past its element": lambda: structured(8, {"a": field(F8, 2**30)}),
    "field before its element": lambda: structured(8, {"a": field(F8, -8)}),
    "fields that overlap": lambda: structured(12, {"a": field(F8), "b": field(F8, 4)}),
    "size of a number": lambda: dtype("f8", size=4), "size 0": lambda: dtype("f8", size=0),
    "alignment": lambda: dtype("f8", alignment=1), "flags of objects": lambda: dtype("f8", flags=1),
    "flags of a list": lambda: dtype("f8", flags=2), "flags of pointers": lambda: dtype("f8", flags=4),
    "order of a byte": lambda: dtype("i1"), "no order": lambda: dtype("f8", order="|"), "native order": lambda: dtype("f8", order="="),
    "order that is none": lambda: dtype("f8", order="<<"), "order of bytes": lambda: dtype("f8", order=b"<"),
    "size of text": lambda: dtype("U3", size=13, alignment=4, flags=8), "text without a size": lambda: dtype("U3"),
    "size of void": lambda: structured(8, {"a": field(F8)}, kind="V16"), "negative size": lambda: dtype("V8", order="|", size=-8),
    "huge size": lambda: dtype("V9999999999", order="|", size=9999999999, alignment=1),
    "bool as size": lambda: dtype("V1", order="|", size=True, alignment=1), "bool as flags": lambda: dtype("f8", flags=False),
    "names without fields": lambda: dtype("V8", order="|", names=("a",), size=8, alignment=1),
    "fields of a number": lambda: dtype("f8", names=("a",), fields={"a": field(F8)}),
    "a name twice": lambda: structured(8, {"a": field(I4)}, names=("a", "a")),
    "a field without a name": lambda: structured(8, {"a": field(I4), "b": field(I4, 4)}, names=("a",)),
    "a name without a field": lambda: structured(8, {"a": field(I4)}, names=("a", "b")),
    "a name that is no text": lambda: structured(8, {1: field(F8)}), "an offset that is no int": lambda: structured(8, {"a": field(F8, 0.0)}),
    "an offset that is a bool": lambda: structured(9, {"a": field(F8, True)}),
    "an entry of one": lambda: structured(8, {"a": (F8,)}), "a field of no dtype": lambda: structured(8, {"a": field("f8")}),
    "a field of a type": lambda: structured(8, {"a": field(np.float64)}),
    "a title that is no text": lambda: structured(8, {"a": field(F8, 0, 5)}),
    "a title that leads elsewhere": lambda: structured(8, {"a": field(I4, 0, "t"), "t": field(I4, 4, "t")}, names=("a",)),
    "aligned and is not": lambda: structured(9, {"a": field(np.dtype("i1")), "b": field(F8, 1)}, flags=144),
    "record of no fields": lambda: dtype(np.record), "subarray that is too small": lambda: dtype("V8", order="|", subarray=(F8, (2,)), size=8, alignment=8),
    "subarray of no dtype": lambda: dtype("V16", order="|", subarray=("f8", (2,)), size=16, alignment=8),
    "subarray of no shape": lambda: dtype("V16", order="|", subarray=(F8, 2), size=16, alignment=8),
    "subarray of a negative shape": lambda: dtype("V16", order="|", subarray=(F8, (-2, -1)), size=16, alignment=8),
    "subarray and fields": lambda: dtype("V8", order="|", subarray=(F8, (1,)), names=("a",), fields={"a": field(F8)}, size=8, alignment=8),
    "too many dimensions": lambda: dtype("V8", order="|", subarray=(F8, (1,) * 33), size=8, alignment=8),
    "too deep": lambda: _deep(9), "old version": lambda: dtype("f8", 2, "<", None, None, None, -1, -1),
    "version that does not fit": lambda: dtype("f8", 4, "<", None, None, None, -1, -1, 0),
    "state that is a list": lambda: Made(np.dtype, "f8", False, True, state=[3, "<", None, None, None, -1, -1, 0]),
    "kind that is no text": lambda: dtype(b"f8"), "kind of a class": lambda: dtype(int), "kind of fields": lambda: dtype("i4,f8"),
    "moments without a unit": lambda: dtype("M8"),
    "moments of no unit": lambda: moments(b"eons", 1, 1, 1), "moments of a divided unit": lambda: moments(b"us", 1, 2, 1),
    "moments of 0 units": lambda: moments(b"us", 0, 1, 1), "moments of a bool": lambda: moments(b"us", True, 1, 1),
    "moments of many generic units": lambda: moments(b"generic", 2, 1, 1), "moments of huge units": lambda: moments(b"us", 2**31, 1, 1),
    "dtype without a state": lambda: [Made(np.dtype, "f8", False, True)],
    "array without a state": lambda: [Made(RECONSTRUCT, np.ndarray, (0,), b"b")],
    "array of a shape at once": lambda: array(F8) if False else Made(RECONSTRUCT, np.ndarray, (5,), b"b", state=(1, (1,), F8, False, b"\0" * 8)),
    "too little data": lambda: array(F8, (2,)), "too much data": lambda: array(I4), "negative shape": lambda: array(F8, (-1, -1)),
    "shape of a bool": lambda: array(F8, (True,)), "shape of a float": lambda: array(F8, (1.0,)), "shape that is a list": lambda: array(F8, [1]),
    "shape beyond 63 bits": lambda: array(F8, (2**64, 0), b""), "product beyond 64 bits": lambda: array(np.dtype("u1"), (2**62, 8, 0), b""),
    "product that wraps": lambda: array(np.dtype("u1"), (2**32, 2**32), b""), "many and none": lambda: array(F8, (2**40, 0), b""),
    "none and many": lambda: array(F8, (0, 2**40), b""), "many of no size": lambda: array(np.dtype("V0"), (2**40,), b""),
    "33 dimensions": lambda: array(F8, (1,) * 33), "no dtype": lambda: array("f8"), "dtype of a type": lambda: array(np.float64),
    "dtype with a shape": lambda: array(Made(np.dtype, "V8", False, True, state=(3, "|", (F8, (1,)), None, None, 8, 8, 0))),
    "bool of 2": lambda: array(np.dtype("?"), (8,), b"\2" + b"\0" * 7), "character beyond Unicode": lambda: array(np.dtype("<U2"), (1,), b"\0\0\x11\0" * 2),
    "character of the other order": lambda: array(np.dtype(">U2"), (1,), b"a\0\0\0" * 2),
    "bool of 2 in a field": lambda: array(structured(8, {"a": field(np.dtype("?"), 3)}), (1,), b"\2" * 8),
    "bool of 2 in a subarray": lambda: array(structured(8, {"a": field(Made(np.dtype, "V4", False, True, state=(3, "|", (np.dtype("?"), (4,)), None, None, 4, 1, 0)), 1)}), (1,), b"\2" * 8),
    "bool of 2 beside it": lambda: Made(FROM_BUFFER, bytearray(b"\2"), np.dtype("?"), (1,), "C"),
    "scalar bool of 2": lambda: Made(SCALAR, np.dtype("?"), b"\2"), "scalar of too little": lambda: Made(SCALAR, F8, b"\0"),
    "scalar of text": lambda: Made(SCALAR, F8, "\u1234" * 8), "scalar of a list": lambda: Made(SCALAR, F8, [0]),
    "scalar with a shape": lambda: Made(SCALAR, Made(np.dtype, "V8", False, True, state=(3, "|", (F8, (1,)), None, None, 8, 8, 0)), b"\0" * 8),
    "data that is a list": lambda: array(F8, (1,), [1.0]), "data that is an array": lambda: array(F8, (1,), bytearray(8)),
    "order of a buffer": lambda: Made(FROM_BUFFER, bytearray(8), F8, (1,), "A"), "axes of none": lambda: Made(FROM_BUFFER, bytearray(8), F8, (1,), "K"),
    "axes twice": lambda: Made(FROM_BUFFER, bytearray(8), F8, (1, 1), "K", (0, 0)), "axes and an order": lambda: Made(FROM_BUFFER, bytearray(8), F8, (1,), "C", (0,)),
    "axes of another number": lambda: Made(FROM_BUFFER, bytearray(8), F8, (1, 1), "K", (0,)),
    "buffer that is none": lambda: Made(FROM_BUFFER, 5, F8, (1,), "C"), "buffer that is text": lambda: Made(FROM_BUFFER, "12345678", F8, (1,), "C"),
}  # fmt: skip


def moments(*unit: Any) -> Made:
    return dtype("M8", 4, "<", None, None, None, -1, -1, 0, (None, unit))


def _deep(levels: int) -> Any:
    made: Any = F8
    for _ in range(levels - 1):
        made = structured(8, {"a": field(made)})
    return made


@pytest.mark.parametrize("name", WRONG)
def test_state_that_does_not_fit(name: str) -> None:
    for protocol in (2, 5):
        with pytest.raises(Corrupt) as caught:
            loaded(WRONG[name](), protocol)
        assert len(str(caught.value)) < 300


def test_eight_levels_are_read() -> None:
    made = loaded(_deep(8))
    for _ in range(7):
        made = made["a"]
    assert made == F8


REFUSED = {
    "objects": (np.array([{}], dtype=object), "dtype=object"),
    "a field of objects": (np.zeros(1, [("a", object)]), "dtype=object"),
    "a field of objects that claims to be none": (array(structured(8, {"a": field(dtype("O8", flags=0))}, flags=0)), "dtype=object"),
    "a dtype of objects": (np.dtype(object), "dtype=object"),
    "long doubles of i386": (array(dtype("f12"), data=b"\0" * 12), "long doubles"),
    "complex long doubles of i386": (array(dtype("c24"), data=b"\0" * 24), "long doubles"),
    "long doubles of the other order": (array(dtype("f16", order=">"), data=b"\0" * 16), "long doubles"),
    "long double of IEEE": (array(dtype("f16"), data=b"\0" * 14 + b"\xff\x3f"), "long doubles"),
    "metadata": (np.zeros(1, np.dtype("i4", metadata={"a": 1})), "metadata"),
    "an unknown kind": (array(dtype("q8")), "not plain numbers or text"),
    "an odd size": (array(dtype("i16")), "not plain numbers or text"),
    "a matrix": (np.ma.masked_array([1, 2], [True, False]), "code of numpy"),
}  # fmt: skip
if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
    REFUSED["StringDType"] = np.array(["a"], dtype=np.dtypes.StringDType()), r"StringDType.*astype\(\"U\"\)"


@pytest.mark.parametrize("name", REFUSED)
def test_array_that_is_not_plain_is_refused_with_the_reason(name: str) -> None:
    value, reason = REFUSED[name]
    for protocol in (2, 5):
        with pytest.raises(Untrusted, match=reason) as caught:
            loaded(value, protocol)
        assert "allow=[" not in str(caught.value) and not caught.value.allowable


@pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="long doubles are not those of x87 here")
@pytest.mark.parametrize("values", [[1.0], [2.5, -8.0], [0.0], [3.0, 4.0], [float("nan")]])
def test_long_doubles_of_another_platform_are_told_apart(values: list[float]) -> None:
    for kind in "gG":
        ours = np.zeros(len(values), kind)
        ours[:] = values
        assert loaded(ours).tobytes() == ours.tobytes()
    stale = np.frombuffer(np.array([0.0, 1.5, 0.0, 2.5]), np.uint8).copy().view("g")  # what doubles left behind
    stale[1] = 1.5
    assert loaded(stale).tolist() == [0.0, 1.5]
    quad = b"".join(_quad(value) for value in values)
    if any(values):
        with pytest.raises(Untrusted, match="another platform"):
            loaded(array(dtype("f16"), (len(values),), quad))


def _quad(value: float) -> bytes:
    """The bytes of a number as IEEE's binary128."""
    bits = int.from_bytes(np.float64(value).tobytes(), "little")
    sign, exponent, digits = bits >> 63, bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    exponent = {0: 0, 0x7FF: 0x7FFF}.get(exponent, exponent + 16383 - 1023)
    return (sign << 127 | exponent << 112 | digits << 60).to_bytes(16, "little")


@pytest.mark.parametrize("allow", [["numpy.ndarray"], ["numpy.dtype"], ["numpy.ndarray", "numpy.dtype", "numpy.record"]])
def test_allowing_arrays_does_not_hand_them_to_numpy(allow: list[str]) -> None:
    assert loaded(np.arange(3), allow=allow).tolist() == [0, 1, 2]
    for value in (
        Made(np.ndarray, (1,), "O"), Made(np.dtype, "O8"), structured(8, {"a": field(F8, 2**30)}),
        Made(np.ndarray, (1,), state=(1, (1,), F8, False, b"\0" * 8)), Made(np.float64, "1"),
    ):  # fmt: skip
        for protocol in (2, 5):
            with pytest.raises((Untrusted, Corrupt)):
                loaded(value, protocol, allow=allow)


def test_object_under_construction_is_of_no_use_before_its_state() -> None:
    made = stdlib.dumps(Made(np.dtype, "f8", False, True), 2)[2:-1]
    state = stdlib.dumps((3, "<", None, None, None, -1, -1, 0), 2)[2:-1]
    uses = {
        "twice": b"2" + state + b"b", "in a list": b"]q\x63" + made + b"a" + state + b"b", "from the memo": b"q\x640h\x64",
        "again": state + b"b" + state + b"b", "in itself": b"(K\x03h\x64NNN" + b"K\x08K\x08K\0tb",
    }  # fmt: skip
    for name, use in uses.items():
        body = b"\x80\x02" + (use if name == "in a list" else made + b"q\x64" + use) + b"."
        with pytest.raises((Corrupt, Untrusted)):
            pickle.loads(body)
    assert pickle.loads(b"\x80\x02" + made + b"q\x64" + state + b"bh\x64\x86.") == (F8, F8)


# -- what it may cost


@pytest.mark.slow
def test_cost_goes_by_bytes() -> None:
    """A dtype, an array and a scalar that a few bytes of memo repeat, until the allowance is used up."""
    many = np.dtype([(f"f{index}", "u1") for index in range(5000)])
    for value in (np.zeros(1, many)[0], np.zeros(3_000_000, "?"), np.zeros(3_000_000, "u1")[::2], bytearray(3_000_000)):
        body = stdlib.dumps(value, 5)
        assert loaded(value) is not None, body[:20]
    data = b"\x96" + (3_000_000).to_bytes(8, "little") + bytes(3_000_000) + KEPT
    with pytest.raises(Corrupt, match="more memory or time"):
        pickle.loads(b"\x80\x05" + data + b"0(" + on_kept("?", 3_000_000) * 500 + b"l.")


@pytest.mark.slow
def test_hashing_a_scalar_of_many_fields_is_charged() -> None:
    many = np.dtype([(f"f{index}", "u1") for index in range(5000)])
    scalar = np.zeros(1, many)[0]
    with pytest.raises(Corrupt):
        pickle.loads(b"\x80\x05" + bare(scalar) + b"r\xff\x7f\0\0" + b"0}(" + b"j\xff\x7f\0\0N" * 200_000 + b"u.")


def test_arrays_in_allowed_containers_are_charged() -> None:
    class Names(list):  # type: ignore[type-arg]
        pass

    Names.__qualname__ = "Names"
    sys.modules[__name__].Names = Names  # type: ignore[attr-defined]
    try:
        with pytest.raises(Corrupt, match="more memory or time"):
            loaded(Made(Names, np.zeros(8_000_000, "u1")), allow=[Names])
        assert loaded(Made(Names, np.arange(3)), allow=[Names]) == [0, 1, 2]
    finally:
        del sys.modules[__name__].Names  # type: ignore[attr-defined]


@pytest.mark.slow
def test_only_our_errors_come_of_mutated_arrays() -> None:
    import random

    rng = random.Random(5)
    bodies = [stdlib.dumps(value, protocol) for value in [*PLAIN[:40], *SCALARS] for protocol in (2, 5)]
    bodies = [body for body in bodies if len(body) < 2000]
    for _ in range(6000):
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.choice((0, 1, 2, 255, rng.randrange(256)))
        try:
            value = pickle.loads(bytes(body))
        except (StoreError, EOFError):
            continue
        with contextlib.suppress(ValueError, OverflowError):  # NumPy has no text for moments without a unit
            repr(value)
