"""The real files that syncs read, and what is known of them: every version that each file ever had."""

import random
from dataclasses import dataclass, field
from pathlib import Path

LONG = 0.08  # share of the files that make several documents
SHORT_WORDS, LONG_WORDS = 50, 1_300


@dataclass
class File:
    """One file: a word that is in all of its versions, and one that is in this version alone, for each of them."""

    key: str
    word: str
    paragraphs: int  # in each version: a text that all but vanished would be held back
    markers: list[str] = field(default_factory=list)
    removed: bool = False


@dataclass
class Folder:
    """A folder of Markdown files. A name is never used twice, so a row that is there has always been the same row."""

    root: Path
    dice: random.Random
    subfolders: int  # 0: all files lie in the folder itself
    files: dict[str, File] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        self._words = ["".join(self.dice.choices("bcdfghklmnprstvwaeiou", k=self.dice.randint(4, 9))) for _ in range(800)]
        self._outside = self.root.with_name(f"{self.root.name}.new")
        self.root.mkdir(parents=True)
        for number in range(self.subfolders):
            (self.root / f"part {number}").mkdir()

    @property
    def present(self) -> list[File]:
        """The files that are there."""
        return [file for file in self.files.values() if not file.removed]

    def add(self, count: int) -> list[File]:
        """Adds files."""
        added = []
        for _ in range(count):
            self._made += 1
            part = f"part {self.dice.randrange(self.subfolders)}/" if self.subfolders else ""
            key = f"{part}{self.dice.choice(self._words)} {self._made}.md"
            file = self.files[key] = File(key, f"zq{self.dice.randrange(10**12):012}", LONG_WORDS // SHORT_WORDS if self.dice.random() < LONG else 1)
            self._write(file)
            added.append(file)
        return added

    def edit(self, count: int) -> list[File]:
        """Writes new versions of some files."""
        edited = self.dice.sample(self.present, min(count, len(self.present)))
        for file in edited:
            self._write(file)
        return edited

    def remove(self, count: int) -> list[File]:
        """Removes some files."""
        removed = self.dice.sample(self.present, min(count, len(self.present)))
        for file in removed:
            (self.root / file.key).unlink()
            file.removed = True
        return removed

    def _write(self, file: File) -> None:
        """As careful programs write: whole, and then put in place, so that a reader sees one version or the other."""
        marker = f"zv{self.dice.randrange(10**15):015}"
        said = [f"{file.word} {marker} {' '.join(self.dice.choices(self._words, k=SHORT_WORDS))}." for _ in range(file.paragraphs)]
        self._outside.write_text("\n\n".join([f"# {file.key.rsplit('/', 1)[-1]}", *said, ""]))
        self._outside.replace(self.root / file.key)
        file.markers.append(marker)
