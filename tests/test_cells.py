import pytest

from nasrun.cells import job_edges

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"


@pytest.fixture
def job(tmp_path):
    (tmp_path / ".hydra").mkdir()

    def compose(text):
        (tmp_path / ".hydra" / "config.yaml").write_text(text)
        return tmp_path

    return compose


def test_a_cell_is_read_by_the_jobs_own_space(job):
    edges = job_edges(job("space: {_target_: nasrun.spaces.nb201.NB201, name: nb201}"), ARCH)
    assert edges is not None
    assert ("0", "1", "nor_conv_3x3") in edges
    assert len(edges) == 6


@pytest.mark.parametrize(
    "config",
    ["space: {_target_: gone.Space}", "task: {}", "[1]", "a: [",
     "space: {_target_: nasrun.spaces.nats_size.NATSSize, name: nats_size}"],
)  # fmt: skip
def test_no_cell_is_no_drawing_and_no_error(job, config):
    assert job_edges(job(config), ARCH) is None


def test_a_job_without_a_config_has_no_cell(tmp_path):
    assert job_edges(tmp_path, ARCH) is None
