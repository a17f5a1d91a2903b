"""A damaged database and the new store that its rows go to, as the contract `DamagedStore` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from store.engines.sqlite.care.rebuild import Rebuild, check_target, rebuilt
from store.engines.sqlite.salvage.roots import ids_of, sample_of
from store.engines.sqlite.salvage.salvage import Salvage
from store.engines.sqlite.salvage.source import Source, opened
from store.engines.sqlite.spill.folder import Folder
from store.engines.sqlite.spill.hollow import refuse_hollow
from store.engines.unopened import Findings
from store.errors import Corrupt, StorageError
from store.rows.row import Row
from store.rows.spilled import FOLDER_SUFFIX, Part

WAIT_SECONDS = 5.0  # for a writer of the damaged store


@contextmanager
def recovering(source: str, target: str) -> Iterator[DamagedDatabase]:
    """The damaged database at `source`, to be recovered to `target`. Writers of ours wait meanwhile.

    Raises:
        StoreNotFound: there is no such file, or no directory for the target. StorageError: it cannot be read, or
        something is at `target` already. StoreError: this process has it open. LockTimeout: another writes to it.
    """
    check_target(target)
    with opened(source, WAIT_SECONDS) as file:
        yield DamagedDatabase(file, target)


class DamagedDatabase:
    """The contract `DamagedStore`."""

    def __init__(self, source: Source, target: str) -> None:
        self.path = source.path
        self.pages = source.image.count
        self._source, self._target = source, target

    def ids(self) -> Iterator[bytes]:
        return ids_of(self._source.image)

    def sample(self) -> list[Row]:
        return sample_of(self._source.image)

    def salvage(self, holds: Callable[[Row], bool], step: Callable[[], None]) -> Findings:
        salvage = Salvage(self._source.image, holds, step)
        found = salvage.run()
        ids = sorted(found.ids.items(), key=lambda item: item[1])
        rows = (salvage.read(found.places[key])._replace(id=rowid) for key, rowid in ids)
        return Findings(rows, len(ids), found.unsure, found.lost, found.damage)

    @contextmanager
    def rebuilt(self, store_id: bytes) -> Iterator[NewDatabase]:
        with rebuilt(self._target, store_id, self._source.rights()) as new:
            yield NewDatabase(new, Folder(self.path, self.path + FOLDER_SUFFIX))
            self._source.check_unchanged()


class NewDatabase:
    """The contract `NewStore`; `folder` has the files of the damaged store."""

    def __init__(self, new: Rebuild, folder: Folder) -> None:
        self.add = new.add
        self._new, self._folder = new, folder

    def add_file(self, part: Part) -> None:
        with self._reading():
            self._new.add_file(self._folder, part)

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        with self._reading():
            refuse_hollow(self._folder, parts)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A file of the damaged store that cannot be read is damage of it; all else is an error of the new one."""
        try:
            yield
        except StorageError as exc:
            if exc.path is not None and not exc.path.startswith(self._folder.path):
                raise
            raise Corrupt(str(exc)) from exc
