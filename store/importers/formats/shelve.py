"""Shelves of the standard library: dbm files whose values are pickles. `path` is the one given to `shelve.open`.

The module `shelve` is not used to read them: it would run their code.
"""

from store.importers.formats.dbm import DbmImporter

importer = DbmImporter("shelve", "pickle")
