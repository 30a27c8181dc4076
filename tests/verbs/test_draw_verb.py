from argparse import Namespace

import pytest
from omegaconf import OmegaConf

from nasrun.config import build
from nasrun.files import CONF
from nasrun.spec import SearchSpace
from nasrun.streams import Streams
from nasrun.verbs import draw


@pytest.mark.parametrize("name", ["darts", "nasnet"])
def test_a_genotype_is_drawn_though_no_file_may_have_so_long_a_name(name, tmp_path, capsys):
    space = build(OmegaConf.load(CONF / "space" / f"{name}.yaml"), SearchSpace, "space")
    text = next(t for t in map(space.text, space.sample(Streams(range(50)))) if len(t) > 255)
    out = tmp_path / "cell.svg"
    assert draw.run(Namespace(arch=text, overrides=[f"space={name}"], out=out)) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    assert out.read_text().lstrip().startswith("<?xml")
