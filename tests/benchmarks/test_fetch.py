import hashlib
from dataclasses import replace

import pytest
import requests

from nasrun.benchmarks import fetch
from nasrun.errors import ConfigError, DataError
from nasrun.verbs import perform

CONTENT = b"figures" * 1000


class Response:
    headers = {"content-length": str(len(CONTENT))}  # noqa: RUF012

    def __init__(self, content):
        self.content = content

    def raise_for_status(self):
        pass

    def iter_content(self, chunk_size):
        for start in range(0, len(self.content), chunk_size):
            yield self.content[start : start + chunk_size]


@pytest.fixture
def server(monkeypatch):
    """Answers every request with ``CONTENT``; counts them."""
    asked = []

    def get(url, **_):
        asked.append(url)
        return Response(CONTENT)

    monkeypatch.setattr(requests, "get", get)
    known = fetch.DOWNLOADS["mini_nasbench201"]
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(fetch.DOWNLOADS, "mini_nasbench201", replace(known, sha256=sha256))
    return asked


def test_a_file_is_fetched_once_and_checked(server, tmp_path):
    path = fetch.fetch("mini_nasbench201", tmp_path)
    assert path == tmp_path / "nb201" / "mini-bench-arch-cell-accs.pd"
    assert path.read_bytes() == CONTENT
    fetch.fetch("mini_nasbench201", tmp_path)
    assert len(server) == 1
    path.write_bytes(b"tampered")
    fetch.fetch("mini_nasbench201", tmp_path)
    assert path.read_bytes() == CONTENT


def test_it_lands_where_the_tables_look(server, tmp_path):
    from composed import composed

    path = fetch.fetch("mini_nasbench201", tmp_path / "downloads")
    node = composed(f"cache_dir={tmp_path}", "data_dir=null").tables.mini_nasbench201
    places = [f"{folder}/{name}" for folder in node.folders for name in node.paths if folder]
    assert str(path) in places


def test_other_content_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "get", lambda *_, **__: Response(b"other"))
    with pytest.raises(DataError, match="has not the expected sha256"):
        fetch.fetch("mini_nasbench201", tmp_path)
    assert not list(tmp_path.rglob("*.pd"))


def test_without_a_connection_it_says_so_in_one_sentence(tmp_path, monkeypatch):
    def get(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(DataError) as refused:
        perform(["fetch", "mini_nasbench201", "--folder", str(tmp_path)])
    message = str(refused.value)
    assert message.startswith("cannot download https://")
    assert message.endswith("mini-bench-arch-cell-accs.pd")
    assert "\n" not in message


def test_the_command_says_what_it_did(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NASRUN_CACHE", str(tmp_path))
    assert perform(["fetch", "mini_nasbench201"]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "downloads") in out.replace("\n", "")
    assert "MIT" in out


def test_other_names_and_folders_are_refused(server, tmp_path):
    with pytest.raises(ConfigError, match="nothing is known under 'x'"):
        perform(["fetch", "x"])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match="cannot write"):
        fetch.fetch("mini_nasbench201", blocked)
