import os

import pytest
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import OmegaConf

from nasrun.config_files import FileConfigSource


def test_a_file_is_parsed_twice_at_most_while_it_stays_the_same(tmp_path, monkeypatch):
    parsed, load = [], OmegaConf.load
    monkeypatch.setattr(OmegaConf, "load", lambda stream: parsed.append(1) or load(stream))
    (tmp_path / "a.yaml").write_text("# @package here\nx: {y: 1}\n")
    source = FileConfigSource("own", f"file://{tmp_path}")
    for time in range(1, 5):
        found = source.load_config("a")
        assert found.config == {"x": {"y": 1}}
        assert found.header == {"package": "here"}
        found.config["x"]["y"] = 2  # whoever composes changes it
        assert len(parsed) == min(time, 2)
    (tmp_path / "a.yaml").write_text("x: {y: 33}\n")
    assert source.load_config("a.yaml").config == {"x": {"y": 33}}
    assert source.load_config("a").config == {"x": {"y": 33}}
    assert len(parsed) == 4
    # Of equal size and time, as an editor that puts another file in its place may leave it.
    stamp = os.stat(tmp_path / "a.yaml")
    (tmp_path / "b").write_text("x: {y: 44}\n")
    os.utime(tmp_path / "b", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    os.replace(tmp_path / "b", tmp_path / "a.yaml")
    assert source.load_config("a").config == {"x": {"y": 44}}
    (tmp_path / "a.yaml").unlink()
    with pytest.raises(ConfigLoadError, match="not found"):
        source.load_config("a")
