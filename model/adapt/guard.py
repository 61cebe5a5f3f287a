"""The guard of the core: no optimizer steps what is sealed, and a change by any other way shows.

While a sealed module lives, any step of any `torch.optim` optimizer over memory of its weights raises
`CoreIsSealed` before a number changes, whatever was done to `requires_grad`, and in whichever module the
weight was put. A write by hand (`add_` under `no_grad`, through numpy) can't be stopped in Python; it is
found by the hash, which `verify` and the end of `unchanged` hold against the one taken before.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from model.errors import CoreChanged, CoreIsSealed

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class _Seal:
    name: str
    sha256: str


_sealed: WeakKeyDictionary[nn.Module, _Seal] = WeakKeyDictionary()
_lock = threading.Lock()
_hooked = False


def seal(module: nn.Module, name: str) -> str:
    """Seal a part of the core for as long as it lives; its hash.

    Sealing it again changes nothing: the first name stays, and `CoreChanged` is raised where it is not what
    it was.
    """
    global _hooked
    with _lock:
        known = _sealed.get(module)
        if known is None:
            module.requires_grad_(False)
            for each in module.parameters():
                each.grad = None
            known = _Seal(name, hash_of(module))
            _sealed[module] = known
            if not _hooked:
                register_optimizer_step_pre_hook(_before_step)
                _hooked = True
    verify(module)
    return known.sha256


def is_sealed(module: nn.Module) -> bool:
    """Whether this very module was sealed (its copies are not)."""
    return module in _sealed


def hash_of(module: nn.Module) -> str:
    """SHA-256, hex, over names, dtypes, shapes and bytes of all parameters and buffers, by name."""
    whole = hashlib.sha256()
    held: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    held |= dict(module.named_buffers(remove_duplicate=False))
    for name in sorted(held):
        tensor = held[name].detach().cpu().contiguous()
        whole.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def verify(module: nn.Module) -> str:
    """The hash of a sealed module; `CoreChanged` where it is not that of the time it was sealed."""
    known, now = _sealed[module], hash_of(module)
    if now != known.sha256:
        raise CoreChanged(
            f"the part {known.name!r} of the core is not what it was: its hash is {now[:12]}, "
            f"not {known.sha256[:12]}; nothing it says counts until it is opened anew"
        )
    return now


@contextmanager
def unchanged(module: nn.Module) -> Iterator[str]:
    """A block within which this module must not change; its hash. `CoreChanged` at the end where it did."""
    before = hash_of(module)
    yield before
    after = hash_of(module)
    if after != before:
        name = _sealed[module].name if module in _sealed else type(module).__name__
        raise CoreChanged(
            f"the part {name!r} of the core was changed: its hash went {before[:12]} -> {after[:12]}"
        )


def scratch(module: M) -> M:
    """A copy of its own memory that is nobody's core and may learn."""
    made = copy.deepcopy(module)
    for each in made.parameters():
        each.requires_grad_(each.is_floating_point())
    return made


def refuse(parameters: Iterable[Tensor]) -> None:
    """`CoreIsSealed` where one of these tensors lies in memory of a sealed part."""
    with _lock:
        modules = [(module, known.name) for module, known in _sealed.items()]
    places = {
        each.untyped_storage().data_ptr(): (part, name)
        for module, part in modules
        for name, each in (*module.named_parameters(), *module.named_buffers())
    }
    places.pop(0, None)  # tensors of nothing
    for each in parameters:
        found = places.get(each.untyped_storage().data_ptr())
        if found:
            raise CoreIsSealed(
                f"the part {found[0]!r} of the core is sealed: {found[1]} can't be stepped by an optimizer; "
                "the core changes by an approved proposal alone"
            )


def _before_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    refuse(each for group in optimizer.param_groups for each in group["params"])
