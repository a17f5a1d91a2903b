"""Streams that would run code: by every opcode that calls, and every way to name what is called."""

from __future__ import annotations

import copyreg
import os
import pickle
from collections.abc import Callable, Iterator

from assembler import (  # isort: skip
    CODE, COMMAND, CORRUPT, EXEC, NONE, REFUSED, RUN, SYSTEM, UNTRUSTED, VICTIM, Stream, aside, build, call, data,
    dct, found, get, lst, new, new_ex, number, old, state, stream, text, tup,
)

_COMMAND, _CODE = text(COMMAND), text(CODE)
_MAP = call(found("builtins", "map"), EXEC, lst(_CODE))  # runs when something takes its items
_OS = call(found("importlib", "import_module"), text("os"))
_ANY_OBJECT = new(VICTIM)


def streams() -> Iterator[Stream]:
    for family, make in _FAMILIES.items():
        for name, body, *rest in make():
            expect = next((item for item in rest if isinstance(item, frozenset)), UNTRUSTED)
            prepare = next((item for item in rest if callable(item)), None)
            yield Stream(family, name, body, expect, executes="inert" not in rest, prepare=prepare)


def _reduce() -> Iterator[tuple]:
    yield "os_system", stream(RUN)
    yield "posix_system", stream(call(found("posix", "system"), _COMMAND))
    yield "eval", stream(call(found("builtins", "eval"), text(f"exec({CODE!r})")))
    yield "exec", stream(call(EXEC, _CODE))
    yield "subprocess", stream(call(found("subprocess", "getoutput"), _COMMAND))
    yield "popen", stream(call(found("subprocess", "call"), lst(text("sh"), text("-c"), _COMMAND)))
    yield "timeit", stream(call(found("timeit", "timeit"), _CODE, text("pass"), found("time", "time"), number(1)))
    yield "compiled", stream(call(EXEC, call(found("builtins", "compile"), _CODE, text("x"), text("exec"))))
    yield (
        "open_for_writing",
        stream(
            call(found("builtins", "open"), call(found("os.path", "expandvars"), text("$HOSTILE_MARKER")), text("w"))
        ),
    )
    yield "map_into_list", stream(call(found("builtins", "list"), _MAP))
    yield "map_into_set", stream(call(found("builtins", "set"), _MAP)), REFUSED
    yield "map_into_tuple_of_a_deque", stream(call(found("collections", "deque"), _MAP)), REFUSED
    yield "text_protocol", b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR."
    yield "protocol_1", b"cos\nsystem\n(U" + bytes([len(COMMAND)]) + COMMAND.encode() + b"tR."
    yield (
        "protocol_2",
        b"\x80\x02cposix\nsystem\nq\x00X"
        + len(COMMAND).to_bytes(4, "little")
        + COMMAND.encode()
        + (b"\x85q\x01Rq\x02."),
    )
    yield "before_plain_data", stream(RUN, b"0", state(theme=text("dark")))
    yield "as_a_key", stream(dct(RUN, NONE))
    yield "class_not_allowed", stream(call(found("victims", "Trap")))
    yield "static_method_of_an_allowed_class", stream(call(found("victims", "Plain.danger")))


def _newobj() -> Iterator[tuple]:
    yield "class_not_allowed", stream(new(found("victims", "Trap")))
    yield "popen", stream(new(found("subprocess", "Popen"), _COMMAND)), "inert"
    yield "map_into_bytes", stream(new(found("builtins", "bytes"), new(found("builtins", "map"), EXEC, lst(_CODE))))
    yield "map_into_tuple", stream(new(found("builtins", "tuple"), _MAP))
    yield "map_into_frozenset", stream(new(found("builtins", "frozenset"), _MAP))
    yield "function", stream(new(SYSTEM, _COMMAND)), "inert"


def _newobj_ex() -> Iterator[tuple]:
    yield "class_not_allowed", stream(new_ex(found("victims", "Trap"), b")", b"}"))
    yield "named_arguments", stream(new_ex(found("victims", "Trap"), b")", state(mode=text("all"))))
    yield "map_into_bytes", stream(new_ex(found("builtins", "bytes"), tup(_MAP), b"}"))
    yield "type", stream(new_ex(found("builtins", "type"), tup(text("X"), b")", b"}"), b"}")), "inert"


def _inst() -> Iterator[tuple]:
    yield "os_system", b"(S'" + COMMAND.encode() + b"'\nios\nsystem\n."
    yield "exec", b"(X" + len(CODE).to_bytes(4, "little") + CODE.encode() + b"ibuiltins\nexec\n."
    yield "class_not_allowed", b"(ivictims\nTrap\n."
    yield "by_its_old_name", b"(V" + CODE.encode() + b"\ni__builtin__\neval\n.", "inert"


def _obj() -> Iterator[tuple]:
    yield "os_system", b"(cos\nsystem\nS'" + COMMAND.encode() + b"'\no."
    yield "exec", b"(" + old("builtins", "exec") + b"V" + CODE.encode() + b"\no."
    yield "class_not_allowed", b"(cvictims\nTrap\no."
    yield "value", b"(K\x01o.", "inert"


def _build() -> Iterator[tuple]:
    yield "setstate_of_a_class_not_allowed", stream(build(found("victims", "Trap") + b")\x81", b"}")), REFUSED
    yield "setstate_put_into_the_instance", stream(build(build(_ANY_OBJECT, state(__setstate__=SYSTEM)), _COMMAND))
    yield "setstate_by_slots", stream(build(build(_ANY_OBJECT, tup(NONE, state(__setstate__=SYSTEM))), _COMMAND))
    yield (
        "setter_by_slots",
        stream(build(new(found("victims", "Guarded")), tup(NONE, state(attribute=NONE)))),
        CORRUPT,
    )
    yield "module", stream(build(found("os", "path"), state(join=SYSTEM))), "inert"
    yield (
        "partial_state",
        stream(
            call(
                build(
                    new(found("functools", "partial"), found("builtins", "len")),
                    tup(SYSTEM, tup(_COMMAND), b"}", NONE),
                )
            )
        ),
    )
    yield "state_of_a_plain_value", stream(build(state(a=NONE), state(__setstate__=SYSTEM))), REFUSED, "inert"


def _partial() -> Iterator[tuple]:
    yield "called", stream(call(call(found("functools", "partial"), SYSTEM, _COMMAND)))
    yield "made_by_newobj", stream(call(new(found("functools", "partial"), SYSTEM, _COMMAND)))
    yield "functools_reduce", stream(call(found("functools", "reduce"), EXEC, lst(_CODE, b"}")))
    yield "cached_function", stream(call(call(found("functools", "lru_cache"), SYSTEM), _COMMAND))
    yield (
        "default_factory",
        stream(call(found("collections", "defaultdict"), call(found("functools", "partial"), SYSTEM, _COMMAND))),
        "inert",
    )


def _copyreg() -> Iterator[tuple]:
    yield (
        "reconstructor",
        stream(
            build(
                call(found("copyreg", "_reconstructor"), found("victims", "Trap"), found("builtins", "object"), NONE),
                b"}",
            )
        ),
    )
    yield "newobj", stream(call(found("copyreg", "__newobj__"), found("builtins", "bytes"), _MAP))
    yield "newobj_ex", stream(call(found("copyreg", "__newobj_ex__"), found("builtins", "bytes"), tup(_MAP), b"}"))
    yield "add_extension", stream(
        call(found("copyreg", "add_extension"), text("os"), text("system"), number(77)),
        b"0\x82M", _COMMAND, b"\x85R",
    )  # fmt: skip
    yield "pickle", stream(call(found("copyreg", "pickle"), VICTIM, found("builtins", "len"))), "inert"
    yield (
        "reconstructor_of_another_base",
        stream(call(found("copyreg", "_reconstructor"), VICTIM, found("builtins", "list"), _MAP)),
        REFUSED,
        "inert",
    )
    yield "reduce_ex", stream(call(found("copyreg", "_reduce_ex"), _ANY_OBJECT, number(1))), "inert"


def _getattr() -> Iterator[tuple]:
    attribute, attrgetter = found("builtins", "getattr"), found("operator", "attrgetter")
    yield "getattr_of_a_module", stream(call(call(attribute, _OS, text("system")), _COMMAND))
    yield "getattr_of_an_allowed_class", stream(call(call(attribute, VICTIM, text("danger"))))
    yield "getattr_of_an_instance", stream(call(call(attribute, _ANY_OBJECT, text("danger"))))
    yield (
        "globals_of_a_method",
        stream(call(EXEC, _CODE, call(attribute, call(attribute, VICTIM, text("method")), text("__globals__")))),
    )
    yield "subclasses", stream(call(call(attribute, found("builtins", "object"), text("__subclasses__")))), "inert"
    yield "attrgetter", stream(call(call(call(attrgetter, text("system")), _OS), _COMMAND))
    yield "attrgetter_chain", stream(call(call(call(attrgetter, text("path.os.system")), _OS), _COMMAND))
    yield "methodcaller", stream(call(call(found("operator", "methodcaller"), text("system"), _COMMAND), _OS))
    yield (
        "itemgetter",
        stream(call(call(call(found("operator", "itemgetter"), text("exec")), found("builtins", "__dict__")), _CODE)),
    )
    yield "builtins_of_a_function", stream(call(attribute, found("builtins", "len"), text("__self__"))), "inert"


def _dotted() -> Iterator[tuple]:
    yield "module_in_a_module", stream(call(found("victims", "os.system"), _COMMAND))
    yield "standard_module", stream(call(found("uuid", "os.system"), _COMMAND))
    yield "two_modules_deep", stream(call(found("collections", "_sys.modules.get"), text("os"))), "inert"
    yield "through_a_method", stream(found("victims", "Plain.method.__globals__")), "inert"
    yield "through_a_builtin", stream(call(found("builtins", "len.__self__.exec"), _CODE))
    yield "through_an_allowed_class", stream(call(found("victims", "Plain.danger")))
    yield "subclass_of_object", stream(call(found("builtins", "object.__subclasses__"))), "inert"
    yield (
        "method_of_a_standard_type",
        stream(call(found("builtins", "str.format"), text("{0.__class__}"), NONE)),
        "inert",
    )
    yield "empty_parts", stream(found("victims", "Plain..danger")), "inert"
    yield "locals", stream(found("victims", "Plain.<locals>.danger")), "inert"


def _register(warm: bool) -> Callable[[], None]:
    """The extension codes 77, 777 and 77777 mean `os.system`, and have been used before."""

    def register() -> None:
        for code in (77, 777, 77_777):
            module = {77: "os", 777: os.system.__module__, 77_777: "subprocess"}[code]
            copyreg.add_extension(module, "getoutput" if code == 77_777 else "system", code)
            if warm:
                pickle.loads(b"\x80\x02\x84" + code.to_bytes(4, "little") + b".")

    return register


def _extension() -> Iterator[tuple]:
    opcodes = {"ext1": b"\x82M", "ext2": b"\x83\x09\x03", "ext4": b"\x84\xd1\x2f\x01\x00"}
    for name, opcode in opcodes.items():
        body = stream(opcode, _COMMAND, b"\x85R", protocol=2)
        yield f"{name}_cold", body, _register(warm=False)
        yield f"{name}_warm", body, _register(warm=True)
    yield "unregistered", stream(b"\x82\xee", protocol=2), "inert"
    yield "code_zero", stream(b"\x82\x00", protocol=2), "inert"
    yield "negative_code", stream(b"\x84\xff\xff\xff\xff", protocol=2), "inert"


def _stack_global() -> Iterator[tuple]:
    yield "shuffled_by_the_memo", stream(
        aside(0, text("system")), aside(1, text("datetime")), aside(2, text("os")), aside(1, text("date")),
        get(2), get(0), b"\x93", _COMMAND, b"\x85R",
    )  # fmt: skip
    yield "memo_written_twice", stream(
        aside(0, text("collections")), aside(1, text("OrderedDict")), aside(0, text("os")), aside(1, text("system")),
        get(0), get(1), b"\x93", _COMMAND, b"\x85R",
    )  # fmt: skip
    yield "made_of_text_on_top_of_others", stream(text("os"), text("system"), b"20\x93", _COMMAND, b"\x85R")
    yield "module_as_bytes", stream(data(b"os"), text("system"), b"\x93", _COMMAND, b"\x85R"), CORRUPT, "inert"
    yield "name_as_bytes", stream(text("os"), data(b"system"), b"\x93", _COMMAND, b"\x85R"), CORRUPT, "inert"
    yield "name_as_a_number", stream(text("os"), number(1), b"\x93"), CORRUPT, "inert"
    yield "name_as_a_tuple", stream(text("os"), tup(text("system")), b"\x93"), CORRUPT, "inert"
    yield (
        "name_as_an_allowed_text",
        stream(text("os"), new(found("victims", "SomeText"), text("system")), b"\x93", _COMMAND, b"\x85R"),
        CORRUPT,
        "inert",
    )
    yield "surrogates", stream(found("\ud800os", "\udfffsystem")), "inert"
    yield "name_of_a_megabyte", stream(found("os" * 500_000, "system" * 200_000)), CORRUPT, "inert"
    yield "line_feeds", stream(found("os\n\x1b[2J", "system\n")), "inert"
    yield "empty", stream(found("", "")), "inert"


def _fix_imports() -> Iterator[tuple]:
    yield "eval", stream(old("__builtin__", "eval"), text(f"exec({CODE!r})"), b"\x85R", protocol=2)
    yield "reduce", stream(old("__builtin__", "reduce"), EXEC + lst(_CODE, b"}"), b"\x86R", protocol=2)
    yield "commands", stream(old("commands", "getoutput"), _COMMAND, b"\x85R", protocol=2)
    yield "copy_reg", stream(call(old("copy_reg", "__newobj__"), old("__builtin__", "bytes"), _MAP), protocol=2)
    yield "cpickle", stream(old("cPickle", "loads"), data(stream(RUN)), b"\x85R", protocol=2)
    yield (
        "imap",
        stream(call(old("__builtin__", "list"), call(old("itertools", "imap"), EXEC, lst(_CODE))), protocol=2),
    )
    yield "old_name_in_a_new_protocol", stream(old("__builtin__", "eval"), _CODE, b"\x85R"), "inert"
    yield "protocol_lowered_midway", stream(b"\x80\x02", old("commands", "getoutput"), _COMMAND, b"\x85R")


def _imports() -> Iterator[tuple]:
    yield "global", stream(old("side_effect", "Innocent"))
    yield "stack_global", stream(found("side_effect", "Innocent"))
    yield "name_that_is_not_there", stream(found("side_effect", "nothing"))
    yield "dotted", stream(found("side_effect", "Innocent.__name__"))
    yield "inst", b"(iside_effect\nInnocent\n."
    yield "import_function", stream(call(found("builtins", "__import__"), text("side_effect")))
    yield "import_module", stream(call(found("importlib", "import_module"), text("side_effect")))
    yield "resolve_name", stream(call(found("pkgutil", "resolve_name"), text("side_effect:Innocent")))
    yield (
        "zone_outside_its_folder",
        stream(call(found("zoneinfo", "ZoneInfo._unpickle"), text("../../side_effect"), b"\x88")),
        CORRUPT,
        "inert",
    )


def _values() -> Iterator[tuple]:
    for module, name in (
        ("os", "system"), ("builtins", "eval"), ("builtins", "__import__"), ("sys", "modules"), ("os", "environ"),
        ("victims", "SECRET"), ("victims", "danger"), ("victims", "Trap"), ("store.trust.keys.ring", "Keyring"),
        ("subprocess", "Popen"), ("builtins", "__builtins__"),
    ):  # fmt: skip
        yield f"{module}.{name}", stream(lst(found(module, name))), "inert"


def _nested() -> Iterator[tuple]:
    inner = stream(RUN)
    yield "pickle", stream(call(found("pickle", "loads"), data(inner)))
    yield "c_pickle", stream(call(found("_pickle", "loads"), data(inner)))
    yield "python_pickle", stream(call(found("pickle", "_loads"), data(inner)))
    yield "file", stream(call(found("pickle", "load"), call(found("io", "BytesIO"), data(inner))))
    yield "twice", stream(call(found("pickle", "loads"), data(stream(call(found("pickle", "loads"), data(inner))))))
    yield (
        "ours",
        stream(call(call(found("functools", "partial"), found("store.codecs.pickle", "loads")), data(inner))),
        "inert",
    )
    yield "marshal", stream(call(found("marshal", "loads"), data(b"N"))), "inert"
    yield "unpickler", stream(call(found("pickle", "Unpickler"), call(found("io", "BytesIO"), data(inner)))), "inert"


_FAMILIES = {
    "execution: REDUCE": _reduce, "execution: NEWOBJ": _newobj, "execution: NEWOBJ_EX": _newobj_ex,
    "execution: INST": _inst, "execution: OBJ": _obj, "execution: BUILD": _build, "execution: partial": _partial,
    "execution: copyreg": _copyreg, "execution: getattr": _getattr, "execution: dotted names": _dotted,
    "execution: extension codes": _extension, "execution: STACK_GLOBAL": _stack_global,
    "execution: old names": _fix_imports, "execution: imports": _imports, "execution: globals as values": _values,
    "execution: nested pickles": _nested,
}  # fmt: skip
