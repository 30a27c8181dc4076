import os

import pytest
import yaml
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import OmegaConf, _utils, base, grammar_parser
from omegaconf.errors import GrammarParseError

from nasrun.config import named_space
from nasrun.config_files import (
    DUMPER,
    LOADER,
    FileConfigSource,
    parse_interpolations_once,
    use_libyaml,
)
from nasrun.errors import ConfigError
from nasrun.files import CONF


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


NO_KEYS = {
    b"": "must hold keys and values, as in name: mine, got none$",
    b"# population: 3": "must hold keys and values, .* got none$",
    b"- a": "must hold keys and values, .* got a list$",
    b"3": "must hold keys and values, .*: int$",
    b"\xff\xfe": "cannot be read as YAML: 'utf-8' codec",
    b"{": "cannot be read as YAML: .* in line 2, column 1$",
}


@pytest.mark.parametrize(("content", "sentence"), NO_KEYS.items())
def test_a_file_without_keys_is_refused_by_name(tmp_path, content, sentence):
    use_libyaml()
    (tmp_path / "mine.yaml").write_bytes(content)
    for read in (
        FileConfigSource("own", f"file://{tmp_path}").load_config,
        lambda name: named_space(name, tmp_path, "spaces"),
    ):
        with pytest.raises(ConfigError, match=f"^{tmp_path}/mine.yaml {sentence}"):
            read("mine")


def test_libyaml_reads_every_config_and_writes_it_as_pyyaml_does():
    use_libyaml()
    texts = [path.read_text("utf-8") for path in sorted(CONF.rglob("*.yaml"))]
    texts.append(
        "a: 2020-01-01\nb: [1e3, .5, 1_0, on, '1', 0x1F, null, 'a: b', 1:30.5]\nc: ümlaut ${x}\n"
    )
    for text in texts:
        content = yaml.load(text, Loader=_utils.get_yaml_loader())
        assert repr(content) == repr(yaml.load(text, Loader=LOADER))
        made = OmegaConf.create(content)
        content = OmegaConf.to_container(made)  # without the anchors
        plain = yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
        assert OmegaConf.to_yaml(made) == plain
    assert _utils.get_yaml_loader() is not LOADER or not yaml.__with_libyaml__
    with pytest.raises(yaml.YAMLError, match="duplicate key a"):
        OmegaConf.create("a: 1\na: 2")


def test_an_interpolation_is_parsed_once_and_resolved_where_it_stands(monkeypatch):
    parsed, parse = [], grammar_parser.parse
    monkeypatch.setattr(
        grammar_parser, "parse", lambda *given: parsed.append(given) or parse(*given)
    )
    for user in (_utils, base):
        monkeypatch.setattr(user, "parse", user.parse)
    parse_interpolations_once()
    text = "${oc.select:${.key},'none of ${.key}'}"
    for value in (1, "two"):
        parts = {"key": "b.c", "d": text}
        made = OmegaConf.create(
            {"a": parts, "b": {"c": value, **parts}, "e": {**parts, "key": "x"}}
        )
        assert [made.a.d, made.b.d, made.e.d] == [value, value, "none of x"]
    assert parsed.count((text,)) == 1
    for _ in range(2):
        with pytest.raises(GrammarParseError):
            OmegaConf.create({"a": "${b"})
