"""The engine, bound to the model store: its own source text, in which every import from `syncd.store` leads there.

So what is simulated is the code that runs, with a seam where it is linked and none in the code itself. `change` puts a
bug in before it is compiled.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

from tests.planted.bug import ROOT

# In the order in which they import one another.
ENGINE = ("removals", "run", "stream", "installation", "outcome", "round")
PATHS = {name: f"syncd/sync/{name}.py" for name in ENGINE} | {"refresh": "syncd/credentials/refresh.py"}
STORE = "tests/simulation/store.py"
Change = tuple[str, str, str]  # path, what stands there once, what stands there instead


@dataclass(frozen=True)
class Engine:
    """The modules that were linked."""

    modules: Mapping[str, ModuleType]

    def __getattr__(self, name: str) -> Any:
        for module in self.modules.values():
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(name)


@lru_cache(maxsize=64)
def link(changes: tuple[Change, ...] = ()) -> Engine:
    """The engine, with these places of its source changed."""
    package = f"tests.simulation._linked_{abs(hash(changes))}"
    modules: dict[str, ModuleType] = {}
    sys.modules[package] = ModuleType(package)
    for name, path in {"store": STORE, **PATHS}.items():
        text = _changed(path, (ROOT / path).read_text(), changes)
        if path != STORE:
            text = re.sub(r"from syncd\.store\.\w+ import", f"from {package}.store import", text)
        text = re.sub(rf"from syncd\.sync\.({'|'.join(ENGINE)}) import", rf"from {package}.\1 import", text)
        modules[name] = _module(f"{package}.{name}", path, text)
    return Engine(modules)


def _changed(path: str, text: str, changes: tuple[Change, ...]) -> str:
    for where, old, new in changes:
        if where == path:
            assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
            text = text.replace(old, new)
    return text


def _module(name: str, path: str, text: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    compiled: Callable[..., Any] = compile(text, path, "exec")  # type: ignore[assignment]
    exec(compiled, vars(module))  # type: ignore[arg-type]
    return module
