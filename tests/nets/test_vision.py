"""Each case runs in its own process, because a module is imported only once in a process."""

import subprocess
import sys
import textwrap

import pytest


def run(code):
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


FAKE = """
    import sys, types
    from nasrun.nets import vision

    class Finder:
        attempts = 0
        def find_spec(self, name, path=None, target=None):
            if name == "torchvision":
                from importlib.machinery import ModuleSpec
                return ModuleSpec(name, self)
        def create_module(self, spec):
            return None
        def exec_module(self, module):
            Finder.attempts += 1
            attempt()
    sys.meta_path.insert(0, Finder())
"""


@pytest.mark.slow
def test_transforms_datasets_and_models_work_with_the_installed_wheel():
    shapes = run("""
        import torch
        from nasrun.nets.vision import load_torchvision
        torchvision = load_torchvision()
        from torchvision.transforms import v2
        image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
        augment = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(),
                              v2.ToDtype(torch.float32, scale=True)])
        print(tuple(augment(image).shape) == (3, 32, 32))
        data = torchvision.datasets.FakeData(size=2, image_size=(3, 8, 8), transform=v2.ToImage())
        print(tuple(data[0][0].shape) == (3, 8, 8))
        net = torchvision.models.resnet18(weights=None).eval()
        print(tuple(net(torch.zeros(1, 3, 64, 64)).shape) == (1, 1000))
        print(load_torchvision() is torchvision)
    """)
    assert shapes == ["True"] * 4


def test_a_working_torchvision_is_left_alone():
    attempts, torch_imported = run(
        FAKE
        + """
    def attempt(): pass
    assert vision.load_torchvision() is sys.modules["torchvision"]
    print(Finder.attempts, "torch" in sys.modules)
    """
    )
    assert (attempts, torch_imported) == ("1", "False")


def test_missing_operators_are_declared_before_the_second_attempt():
    attempts, *declared = run(
        FAKE
        + """
    import torch
    def attempt():
        if not hasattr(torch.ops.torchvision, "nms"):
            raise RuntimeError("operator torchvision::nms does not exist")
    vision.load_torchvision()
    ops = torch.ops.torchvision
    print(Finder.attempts, hasattr(ops, "nms"), hasattr(ops, "qnms"))
    """
    )
    assert (attempts, declared) == ("2", ["True", "True"])


def test_another_failure_is_passed_on():
    words = run(
        FAKE
        + """
    def attempt(): raise RuntimeError("compiled with different CUDA versions")
    try:
        vision.load_torchvision()
    except RuntimeError as error:
        print(Finder.attempts, error)
    """
    )
    assert words == ["1", "compiled", "with", "different", "CUDA", "versions"]
