import hashlib
import io
import tarfile

import pytest
import requests

from nasrun.errors import DataError
from nasrun.tasks.downloads import SPLIT_LISTS, Archive, fetch_archives


def tar(names):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"data"))
    return stream.getvalue()


@pytest.fixture
def server(monkeypatch):
    """Answers with ``files``, by the last part of the address; notes what is asked."""
    files, asked = {}, []

    class Response:
        def __init__(self, content):
            self.content, self.headers = content, {"content-length": str(len(content))}

        def raise_for_status(self):
            pass

        def iter_content(self, chunk_size):
            for first in range(0, len(self.content), chunk_size):
                yield self.content[first : first + chunk_size]

    def get(url, **_):
        asked.append(url)
        return Response(files[url.rpartition("/")[2]])

    monkeypatch.setattr(requests, "get", get)
    return files, asked


def archive(name, content, folder=""):
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Archive(f"https://example.org/{name}", f"md5:{digest}", folder)


def test_files_land_in_their_folder_once(server, tmp_path):
    files, asked = server
    files["train.gz"] = b"pictures"
    wanted = archive("train.gz", b"pictures", "MNIST/raw")
    fetch_archives([wanted], tmp_path)
    fetch_archives([wanted], tmp_path)
    assert (tmp_path / "MNIST" / "raw" / "train.gz").read_bytes() == b"pictures"
    assert len(asked) == 1


def test_tar_files_are_unpacked_and_dropped(server, tmp_path):
    files, _ = server
    files["set.tar.gz"] = content = tar(["set/images/1.jpg", "set/list.txt"])
    fetch_archives([archive("set.tar.gz", content, "pets")], tmp_path)
    assert (tmp_path / "pets" / "set" / "images" / "1.jpg").read_bytes() == b"data"
    assert [path.name for path in (tmp_path / "pets").iterdir()] == ["set"]


def test_another_content_is_refused(server, tmp_path):
    files, _ = server
    files["train.gz"] = b"something else"
    with pytest.raises(DataError, match="has not the expected md5"):
        fetch_archives([archive("train.gz", b"pictures")], tmp_path)
    assert not (tmp_path / "train.gz").exists()


def test_a_tar_file_that_leaves_its_folder_is_refused(server, tmp_path):
    files, _ = server
    files["set.tar.gz"] = content = tar(["../outside"])
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch_archives([archive("set.tar.gz", content)], tmp_path / "downloads")
    assert not (tmp_path / "outside").exists()


def test_a_broken_tar_file_is_refused(server, tmp_path):
    files, _ = server
    files["set.tar.gz"] = content = tar(["set/1.jpg"])[:40]
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch_archives([archive("set.tar.gz", content)], tmp_path)


def test_no_connection_is_one_sentence(monkeypatch, tmp_path):
    def get(url, **_):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(DataError, match="cannot download https"):
        fetch_archives([archive("train.gz", b"")], tmp_path)


@pytest.mark.data
def test_the_index_lists_at_hand_are_those_that_would_be_fetched(data_dir):
    for name, wanted in SPLIT_LISTS.items():
        content = (data_dir / name).read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == wanted.digest
