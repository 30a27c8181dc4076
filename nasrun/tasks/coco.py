"""COCO's detection, from the published folders."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.tasks.annotated import read_annotated
from nasrun.tasks.detection import DetectionTask
from nasrun.tasks.parts import Published
from nasrun.tasks.picture_files import Fit
from nasrun.tasks.trees import Tree

FILES = ("annotations/instances_train2017.json", "annotations/instances_val2017.json")


@dataclass
class COCO(DetectionTask):
    """Lin et al., "Microsoft COCO" (ECCV 2014), as of 2017: 80 classes.

    The published validation pictures test, as in papers; those that judge a search are drawn from
    the training pictures. Pictures without boxes stay.

    Raises:
        ConfigError: see ImageTask.
    """

    def paths(self) -> dict[str, Path]:
        """The annotations and the folders of pictures.

        Raises:
            DataError: they are not there.
        """
        cure = "the folder annotations of annotations_trainval2017.zip, train2017 and val2017"
        root = self.places.require(FILES[:1], cure, None).parents[1]
        return {name: root / name for name in (*FILES, "train2017", "val2017")}

    def read(self) -> Published:
        """The training and validation pictures of 2017.

        Raises:
            DataError: files that are missing or damaged, or of other classes.
        """
        paths = self.paths()
        tree = Tree(paths["train2017"].parent)
        train, test = (read_annotated(tree, name) for name in FILES)
        names = (train + test).instances.names
        return Published(
            train.part(self.decoder),
            test.part(self.decoder),
            "COCO 2017",
            self.places.hashes(paths),
            class_names=names,
            fit=Fit.squash.value,
        )
