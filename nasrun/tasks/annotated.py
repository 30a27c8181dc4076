"""An instances file with the pictures that it describes, below a folder or in a zip file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nasrun.errors import DataError
from nasrun.input_files import shown
from nasrun.streams import Ints
from nasrun.tasks.coco_file import Instances, read_instances
from nasrun.tasks.parts import Part
from nasrun.tasks.picture_files import PictureFiles
from nasrun.tasks.trees import Tree, TreeFile, file_name


@dataclass(frozen=True)
class Annotated:
    """Pictures in files, and what an instances file says of them."""

    instances: Instances
    files: Sequence[TreeFile]

    def some(self, rows: Ints) -> "Annotated":
        """The pictures of these rows."""
        return Annotated(self.instances.some(rows), [self.files[row] for row in rows])

    def __add__(self, other: "Annotated") -> "Annotated":
        return Annotated(self.instances + other.instances, [*self.files, *other.files])

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.files)

    def part(self, decoder: PictureFiles) -> Part:
        """The pictures squeezed to squares, and ``(n, M, 6)`` boxes in pixels of the squares."""
        targets = self.instances.targets(decoder.px)
        return decoder.part(self.files, targets, self.instances.sizes)

    def folders(self) -> dict[str, Path]:
        """Zip files or folders with pictures, by name."""
        places = {file.parent if isinstance(file, Path) else file.archive for file in self.files}
        return {shown(Path(*place.parts[-2:])): place for place in sorted(places)}


def read_annotated(tree: Tree, name: str) -> Annotated:
    """What an instances file of a tree describes.

    Its pictures are looked for in the tree itself and in ``images``, in both beside or below a
    folder called like the part (``train2017`` of ``instances_train2017.json``), and beside the
    file.

    Raises:
        DataError: no such file, not a file of instances, or pictures that are missing.
    """
    file = tree.file(name)
    if file is None:
        raise DataError(f"{shown(tree.root)}: expected {name}, which is not there: name another")
    instances = read_instances(file)
    names = [picture.name for picture in instances.pictures]
    part = PurePosixPath(name).stem.removeprefix("instances_")
    folders = ("", "images", part, f"images/{part}", str(PurePosixPath(name).parent))
    found = max(
        ([tree.file(str(PurePosixPath(folder, own))) for own in names] for folder in folders),
        key=lambda files: sum(each is not None for each in files),
    )
    missing = [own for own, each in zip(names, found, strict=True) if each is None]
    if missing:
        raise DataError(
            f"{file_name(file)}: {len(missing)} of its {len(names)} pictures are missing, such as "
            f"{missing[0]}: put all of them into images/ or {part}/ of {shown(tree.root)}"
        )
    return Annotated(instances, [each for each in found if each is not None])
