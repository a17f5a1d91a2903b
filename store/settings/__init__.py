"""Settings: the fields of a class, kept in a store, with types, defaults and environment variables.

    from dataclasses import dataclass, field
    from store import settings

    @dataclass
    class Prefs:
        theme: str = "dark"
        font_size: int = 14
        recent: list[str] = field(default_factory=list)

    with settings.Settings(Prefs, "app.db") as prefs:            # or settings.for_app(Prefs, "myapp")
        prefs.theme                                              # "dark", until somebody sets it
        prefs.theme = "light"                                    # checked, and in the file when this returns
        settings.update(prefs, theme="sepia", font_size=16)      # both or neither
        with settings.edit(prefs, "recent") as recent:           # a value that is read refuses changes
            recent.append("notes.txt")
        settings.changed(prefs)                                  # what differs from the defaults
        settings.reset(prefs, "theme")                           # also: del prefs.theme

The class is a schema: a dataclass (frozen or not), an attrs class or a pydantic model, whose fields all have
defaults. Each read asks the file, so that processes and threads see each other's writes at once; each field is a
record of its own, so that two writers of different fields lose nothing. Defaults are never stored: assigning the
default to a field resets it, and a later release may change the default.

Enums and objects of nested classes are stored as plain data, and your class alone makes objects of it again: reading
a file of somebody else runs no code that the file names.

When the class changes, a new field has its default, and the value of a field that is gone stays in the file
(`unknown`). Where a type changed, a stored value is converted if that loses nothing (int to float, str to an Enum by
value, list to tuple). Otherwise the default holds, with one warning, until the field is written.
"""

from store.settings.changes import Handle
from store.settings.exporting import export, export_to, import_, import_from
from store.settings.fields import (
    as_dict,
    as_object,
    changed,
    edit,
    modify,
    on_change,
    overridden,
    reset,
    reset_all,
    typed,
    unknown,
    update,
)
from store.settings.settings import Settings, close, for_app

__all__ = [
    "Handle", "Settings", "as_dict", "as_object", "changed", "close", "edit", "export", "export_to", "for_app",
    "import_", "import_from", "modify", "on_change", "overridden", "reset", "reset_all", "typed", "unknown", "update",
]  # fmt: skip
