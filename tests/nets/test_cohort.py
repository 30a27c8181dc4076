import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.nets.cohort import (
    BLOCK,
    CohortMLP,
    blocks,
    clip_per_trial,
    padded,
    side_by_side,
    together,
)
from nasrun.streams import Streams

SIZES = [31, 40, 7]


def trained(seeds, sizes=SIZES, rows=5, steps=4):
    """Outputs and weights after some steps on data of each trial's own."""
    streams = Streams(seeds)
    net = CohortMLP.drawn(sizes, streams.fork("weights"))
    picked = together(len(seeds))
    data = streams.normal(rows * (sizes[0] + 1)).reshape(len(seeds), rows, -1)[picked]
    x = torch.zeros(len(picked), rows, padded(sizes[0]))
    x[..., : sizes[0]] = torch.from_numpy(data[..., 1:])
    y = torch.from_numpy(data[..., :1]).float()
    optimiser = torch.optim.Adam([net.flat], lr=1e-2, fused=True)
    for _ in range(steps):
        out = net(x)[..., : sizes[-1]]
        (out - y).square().mean(dim=(1, 2)).sum().backward()
        clip_per_trial(net, 0.5)
        optimiser.step()
        optimiser.zero_grad()
    return out.detach().numpy()[: len(seeds)], net.state(len(seeds), "net"), net


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 20, 50])
@pytest.mark.parametrize(
    "sizes", [[31, 64, 64, 20], [40, 64, 1], [41, 48, 30], [3, 16, 5]], ids=str
)
def test_a_trial_has_the_same_bits_in_any_cohort(sizes, rows):
    together_out, together_state, _ = trained(range(37), sizes, rows)
    for first, last in ((0, 1), (36, 37), (3, 5), (7, 10), (0, 30)):
        out, state, _ = trained(range(first, last), sizes, rows)
        assert out.tobytes() == together_out[first:last].tobytes()
        for key, array in state.items():
            assert array.tobytes() == together_state[key][first:last].tobytes()


def test_blocks_cover_the_trials_in_order():
    parts = blocks(2 * BLOCK + 1)
    assert [row for rows in parts for row in range(rows.start, rows.stop)] == list(
        range(2 * BLOCK + 1)
    )
    assert blocks(1) == [slice(0, 1)]


def test_the_number_of_threads_changes_nothing():
    threads = torch.get_num_threads()
    parts = [range(start, start + 40) for start in (0, 40, 80)]
    many = side_by_side(lambda seeds: trained(seeds)[0].tobytes(), parts)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    try:
        assert side_by_side(lambda seeds: trained(seeds)[0].tobytes(), parts) == many
    finally:
        torch.set_num_threads(threads)


def test_gradients_of_trials_do_not_mix():
    _, _, net = trained(range(3))
    x = torch.ones(3, 4, padded(SIZES[0]))
    net(x)[1].sum().backward()
    assert net.flat.grad is not None
    for gradient in net.parts_of(net.flat.grad):
        assert not gradient[[0, 2]].any()
        assert gradient[1].any()


def test_surplus_inputs_stay_without_effect():
    _, state, net = trained(range(2), steps=10)
    assert not state["net.0"][:, SIZES[0] :].any()
    x = torch.zeros(2, 1, padded(SIZES[0]))
    before = net(x)
    x[..., SIZES[0] :] = 7.0
    assert torch.equal(net(x), before)


def with_gradients(gradients):
    """A network whose parameters have these gradients ``(T, in, out)``."""
    net = CohortMLP([torch.zeros_like(gradient) for gradient in gradients])
    net.flat.grad = torch.cat([gradient.flatten() for gradient in gradients])
    return net


def by_trial(net):
    """``(T, P)`` the gradients of each trial."""
    return torch.cat([part.flatten(1) for part in net.parts_of(net.flat.grad)], dim=1)


@given(norms=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6), most=st.floats(0.01, 10.0))
@settings(deadline=None, max_examples=30)
def test_clipping_bounds_every_trial_by_itself(norms, most):
    scale = torch.tensor(norms)[:, None, None] / 4.0
    net = with_gradients([torch.ones(len(norms), *shape) * scale for shape in [(3, 4), (1, 4)]])
    before = by_trial(net)
    clip_per_trial(net, most)
    for trial, norm in enumerate(norms):
        assert by_trial(net)[trial].norm().item() == pytest.approx(min(norm, most), rel=1e-4)
        ratio = by_trial(net)[trial] / before[trial]
        assert torch.allclose(ratio, ratio[0].expand_as(ratio))


def test_no_gradient_is_no_division_by_zero():
    net = with_gradients([torch.zeros(2, 3, 4)])
    clip_per_trial(net, 0.5)
    assert not net.flat.grad.any()
    net.flat.grad = None
    clip_per_trial(net, 0.5)


def by_autograd(net, x):
    """Outputs and gradients as PyTorch itself makes them, of the same products."""
    parameters = [part.clone().requires_grad_() for part in net.parameters]
    told = hidden = x.clone().requires_grad_()
    for at in range(0, len(parameters), 2):
        hidden = torch.relu(hidden) if at else hidden
        hidden = torch.baddbmm(parameters[at + 1], hidden, parameters[at])
    hidden.sin().sum().backward()
    return hidden.detach(), [told.grad, *(parameter.grad for parameter in parameters)]


@pytest.mark.parametrize("reuses", [False, True])
def test_layers_have_the_bits_of_pytorchs_own(reuses):
    net = CohortMLP.drawn([31, 64, 64, 20], Streams(range(5)))
    if reuses:
        net.reuse_gradient()
    for rows in (3, 9, 4):  # rooms that grow, and that are too large
        x = torch.randn(5, rows, 32, generator=torch.Generator().manual_seed(rows))
        wanted, gradients = by_autograd(net, x)
        told = x.clone().requires_grad_()
        found = net(told)
        found.sin().sum().backward()
        assert torch.equal(found, wanted)
        own = [told.grad, *net.parts_of(net.flat.grad)]
        assert all(torch.equal(a, b) for a, b in zip(own, gradients, strict=True))
        net.flat.grad = None


@pytest.mark.parametrize("shape", [(5, 10), (5, 4, 10)])
def test_what_stands_beside_the_inputs_gets_the_gradient_of_its_columns(shape):
    net = CohortMLP.drawn([40, 64, 20], Streams(range(5)))
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(5, 4, 48)
    x[..., :30] = torch.randn(5, 4, 30, generator=generator)
    z = torch.randn(shape, generator=generator).requires_grad_()
    whole = x.clone()
    whole[..., 30:40] = z.detach() if len(shape) == 3 else z.detach()[:, None]
    wanted, gradients = by_autograd(net, whole)
    found = net(x, z, 30)
    found.sin().sum().backward()
    assert torch.equal(found, wanted)
    of_z = gradients[0] if len(shape) == 3 else gradients[0].sum(dim=1)
    own = [z.grad, *net.gradients()]
    expected = [of_z[..., 30:40], *gradients[1:]]
    assert all(torch.equal(a, b) for a, b in zip(own, expected, strict=True))


@pytest.mark.parametrize("reuses", [False, True])
def test_gradients_add_up(reuses):
    net, x = CohortMLP.drawn([31, 64, 20], Streams(range(2))), torch.ones(2, 3, 32)
    if reuses:
        net.reuse_gradient()
    net(x).sum().backward()
    once = net.flat.grad.clone()
    (2.0 * net(x)).sum().backward()
    assert torch.allclose(net.flat.grad, 3.0 * once)
    assert torch.equal(torch.cat([part.flatten() for part in net.gradients()]), net.flat.grad)


def test_gradients_come_too_late_after_the_next_call():
    net, x = CohortMLP.drawn([31, 64, 20], Streams(range(2))), torch.ones(2, 3, 32)
    first = net(x).sum()
    net(2.0 * x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.backward()


def test_what_a_step_leaves_takes_the_same_memory_in_every_step():
    net, x = CohortMLP.drawn([31, 64, 20], Streams(range(2))), torch.ones(2, 3, 32)
    net.reuse_gradient()
    places = set()
    for _ in range(3):
        net(x).sum().backward()
        places.add(net.flat.grad.data_ptr())
        net.flat.grad = None
    assert len(places) == 1


def test_weights_can_be_kept_and_given_to_more_trials():
    _, state, net = trained(range(2))
    again = CohortMLP.loaded(state, "net", np.array([1, 0, 1]))
    x = torch.ones(3, 4, padded(SIZES[0]))
    assert torch.equal(again(x)[:2], net(x[:2])[[1, 0]])
    assert torch.equal(again(x)[2], again(x)[0])


def test_new_weights_are_uniform_and_a_head_can_be_small():
    net = CohortMLP.drawn([100, 200, 50], Streams(range(3)), head_scale=0.01)
    hidden, _, head, bias = net.parameters
    assert hidden[:, :100, :200].abs().max() <= 0.1
    assert hidden[:, :100, :200].std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    assert head.abs().max() <= 0.01 / np.sqrt(200)
    assert bias.abs().max() <= 0.01 / np.sqrt(200)


def test_clipping_does_not_depend_on_the_cohort():
    """A sum over stacked rows takes another order for another length, and the last bits with it."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        gradients = [torch.randn(5, 30, 64, generator=generator) for _ in range(6)]
        clipped = []
        for trials in (5, 2):
            net = with_gradients([gradient[:trials].clone() for gradient in gradients])
            clip_per_trial(net, 0.5)
            clipped.append(by_trial(net)[:2])
        assert torch.equal(*clipped)
