"""The publishers' archives: where they come from, what they must be, how they are unpacked."""

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks.download import retrieve
from nasrun.drafts import draft_of, remove_abandoned
from nasrun.errors import DataError


@dataclass(frozen=True)
class Archive:
    """A file of a data set.

    ``digest`` is what it must be; ``folder`` is where it goes below the folder of downloads, and
    where it is unpacked if it is a tar file.
    """

    url: str
    digest: str
    folder: str = ""


_IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _idx(server: str, folder: str, *md5: str) -> tuple[Archive, ...]:
    names = (f"{server}/{name}-ubyte.gz" for name in _IDX)
    return tuple(Archive(url, f"md5:{sum_}", folder) for url, sum_ in zip(names, md5, strict=True))


_TORONTO = "https://www.cs.toronto.edu/~kriz"
_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data"
_STANFORD = "http://ufldl.stanford.edu/housenumbers"

CIFAR10 = (Archive(f"{_TORONTO}/cifar-10-python.tar.gz", "md5:c58f30108f718f92721af3b95e74349a"),)
CIFAR100 = (Archive(f"{_TORONTO}/cifar-100-python.tar.gz", "md5:eb9058c3a382ffc7106e4002c42a8d85"),)
SVHN = (
    Archive(f"{_STANFORD}/train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
    Archive(f"{_STANFORD}/test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3"),
)
MNIST = _idx(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "MNIST/raw",
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
FASHION_MNIST = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "FashionMNIST/raw",
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
AIRCRAFT = (
    Archive(
        f"{_OXFORD}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
        "md5:d4acdd33327262359767eeaa97a4f732",
    ),
)
PETS = (
    Archive(
        f"{_OXFORD}/pets/data/images.tar.gz",
        "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
        "oxford-iiit-pet",
    ),
)
_GITHUB = "https://raw.githubusercontent.com"
_AUTODL = (
    f"{_GITHUB}/D-X-Y/AutoDL-Projects/a84f48388215d043d94c12c912e6a1defafca891/"
    "configs/nas-benchmark"
)
_METAD2A = (
    f"{_GITHUB}/HayeonLee/MetaD2A/89f4261dbb1c930daccc54e279ba40df319565a2/"
    "MetaD2A_nas_bench_201/nas_bench_201/configs/nas-benchmark"
)
# Index lists by the name that task.split_list gives them.
SPLIT_LISTS = {
    f"{folder}/{name}": Archive(f"{server}/{name}", f"sha256:{digest}", folder)
    for server, folder, name, digest in (
        (
            _AUTODL,
            "nb201/splits",
            "cifar-split.txt",
            "986da6174822048d4c5a25ee8ebdb7e754cd5372b51c633ffd4898ace8db9e32",
        ),
        (
            _AUTODL,
            "nb201/splits",
            "cifar100-test-split.txt",
            "14a5e3708e790ad57f987cdbcf202f724519475d6e8b0db34d0182e73b581bba",
        ),
        (
            _AUTODL,
            "nb201/splits",
            "imagenet-16-120-test-split.txt",
            "c0edac1d3676a9f21acea8feeb31336202d75b1a73df62aec31c6b45bb289a18",
        ),
        (
            _METAD2A,
            "metad2a/splits",
            "aircraft-test-split.txt",
            "3b856e29206fb24fccaf293794fbcb0e785316eccfe956ac1195cb053d52d12f",
        ),
        (
            _METAD2A,
            "metad2a/splits",
            "mnist-test-split.txt",
            "0b144f7ca435ca710fd7963153c626739691d76545611acbad4f74d5e62ef77b",
        ),
        (
            _METAD2A,
            "metad2a/splits",
            "svhn-test-split.txt",
            "41d13d736b21dd4eb8eeab85ec60e83455a205bd707ede91e3394cacdc329d45",
        ),
    )
}


def fetch_archives(archives: Sequence[Archive], folder: Path) -> None:
    """Download what is not in ``folder`` yet, check it, and unpack tar files there.

    Raises:
        DataError: no connection, another content than expected, or a folder that is read-only.
    """
    for archive in archives:
        path = folder / archive.folder / archive.url.rpartition("/")[2]
        retrieve(archive.url, archive.digest, path)
        if path.name.endswith(".tar.gz"):
            _unpack(path)


def _unpack(path: Path) -> None:
    """Unpack beside the archive, and drop it then; what is unpacked is whole or not there."""
    try:
        remove_abandoned(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent, **draft_of("unpack")) as temporary:
            with tarfile.open(path) as archive:
                for member in archive:
                    _unpack_one(archive, member, Path(temporary).resolve())
            for part in Path(temporary).iterdir():
                part.rename(path.parent / part.name)
        path.unlink()
    except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); delete it and try again") from None


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a plain file below ``folder``; links and devices are passed over.

    Python before 3.11.4 has no safe ``extractall``.
    """
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder):
        raise ValueError(f"it names {member.name}, which lies outside")
    content = archive.extractfile(member) if member.isfile() else None
    if content is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            shutil.copyfileobj(content, stream)
