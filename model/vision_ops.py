"""Import timm beside a torch that torchvision was not built for.

torchvision registers shape rules for its operators `nms` and `qnms` when it is imported. A torchvision that
is linked to CUDA can't load its operators beside a CPU-only torch, and then these rules have nothing to stand
on: `import timm` fails with "operator torchvision::nms does not exist". Neither operator is used here, so
their schemas are declared, and nothing else. Import timm through `timm()` alone.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []  # a schema lives as long as its library object


@cache
def timm() -> ModuleType:
    """The module timm; ImportError where it is not installed."""
    import importlib

    try:
        return importlib.import_module("timm")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        library.define(name + schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("timm")
