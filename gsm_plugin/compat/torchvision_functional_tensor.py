"""`torchvision.transforms.functional_tensor` is gone since torchvision 0.17; `basicsr.data.degradations` imports it."""

from types import ModuleType


def fill(module: ModuleType) -> None:
    """Gives the stand-in the one function that BasicSR takes from it, which torchvision still has one door further."""
    from torchvision.transforms.functional import rgb_to_grayscale

    vars(module).update(rgb_to_grayscale=rgb_to_grayscale)
