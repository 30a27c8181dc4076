"""The fast mean over windows is PyTorch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasrun.nets.pooling import AveragePool, average_pool

PLAIN = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)


def picture(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@settings(deadline=None)
@given(side=st.tuples(st.integers(1, 6), st.integers(1, 6)), channels=st.integers(1, 5))
def test_it_is_the_mean_of_what_is_in_the_window(side, channels):
    x = picture(2, channels, *side)
    torch.testing.assert_close(AveragePool()(x), PLAIN(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_its_gradient_and_layout_are_those_of_pytorchs(dtype, layout):
    x = picture(3, 16, 8, 8, dtype=dtype).contiguous(memory_format=layout)
    weigh = picture(3, 16, 8, 8, dtype=dtype)
    found = []
    for pool in (AveragePool(), PLAIN):
        image = x.detach().requires_grad_()
        y = pool(image)
        assert y.is_contiguous(memory_format=layout)
        assert y.dtype == dtype
        found.append((y.detach(), torch.autograd.grad((y * weigh).sum(), image)[0]))
    tolerance = {} if dtype is torch.float32 else {"atol": 0.02, "rtol": 0.02}
    torch.testing.assert_close(found[0], found[1], **tolerance)


def test_a_recorded_network_has_pytorchs_own_operator():
    program = torch.export.export(AveragePool(), (picture(1, 4, 6, 6),))
    assert "avg_pool2d" in str(program.graph)
    assert "conv" not in str(program.graph)


def test_other_strides_and_formats_are_left_to_pytorch():
    x = picture(1, 4, 7, 7).double()
    assert torch.equal(AveragePool()(x), PLAIN(x))
    assert type(average_pool(2)) is nn.AvgPool2d
    assert average_pool(2)(x).shape == (1, 4, 4, 4)
