"""Modules with the names and the behaviour of other libraries, on a `Store`: change the import, keep the program.

`import store.compat.sqlitedict as sqlitedict` is such a change.
"""
