import numpy as np
import torch

from nasrun.nets.cohort import CohortMLP
from nasrun.predictors.blr import Evidence
from nasrun.predictors.dngo import DNGO
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams


def test_networks_with_tanh_have_the_gradients_of_autograd():
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 8, 12), (4, 1, 12), (4, 12, 8), (4, 1, 8), (4, 8, 4), (4, 1, 4)]
    parts = [torch.randn(shape, generator=generator) for shape in shapes]
    x = torch.randn(4, 8, 8, generator=generator)
    net = CohortMLP(parts, tanh=True)
    out = net(x)
    out.square().sum().backward()
    own = [part.clone().requires_grad_() for part in parts]
    hidden = torch.tanh(torch.baddbmm(own[1], x, own[0]))
    hidden = torch.tanh(torch.baddbmm(own[3], hidden, own[2]))
    wanted = torch.baddbmm(own[5], hidden, own[4])
    wanted.square().sum().backward()
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(net.hidden(x), hidden)
    assert net.flat.grad is not None
    for found, part in zip(net.parts_of(net.flat.grad), own, strict=True):
        torch.testing.assert_close(found, part.grad)


def test_the_last_layer_is_a_regression_on_what_the_network_sees():
    space, streams = NB201(), Streams([1, 2], "records")
    archs = np.stack([space.sample(streams) for _ in range(20)], axis=1)
    y = archs.sum(axis=2) + 0.1 * streams.normal(20)
    model = DNGO(epochs=5, members=2).opened(space, Streams([1, 2]))
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    found = model.predict(Inputs(archs[:, :3]))
    for trial in range(2):
        z = (y[trial] - y[trial].mean()) / y[trial].std()
        parts = []
        for member in range(2):
            seen = model._seen(Inputs(archs))[trial, member]
            assert seen.shape == (20, 51)
            own = Evidence(seen[None], z[None], np.array([20.0]), 1.0, 100.0, 200)
            parts.append([part[0] for part in own.predict(seen[None, :3])])
        (m1, s1), (m2, s2) = parts
        mean = (m1 + m2) / 2
        variance = (s1**2 + s2**2 + m1**2 + m2**2) / 2 - mean**2
        np.testing.assert_allclose(found.mean[trial], y[trial].mean() + y[trial].std() * mean)
        np.testing.assert_allclose(found.sd[trial], y[trial].std() * np.sqrt(variance))
