"""Public names resolved on first use (PEP 562), and optional third parties.

A package's `__init__` holds only a table from name to module, so that importing it
costs nothing; the module behind a name is loaded when the name is first read.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import ModuleType

__all__ = ["lazy_names", "require"]


def lazy_names(
    package: str, table: Mapping[str, str], folders: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose names load on first use.

    Args:
        package: The package's `__name__`.
        table: Public name to the module that defines it.
        folders: Subpackages reachable as attributes, without an import of their own.

    Returns:
        The two functions to assign at module level.
    """

    def getattr_(name: str) -> Any:
        if name in folders:
            return importlib.import_module(f"{package}.{name}")
        module = table.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module), name)
        # Kept in the package's namespace: the second read is a plain attribute.
        vars(importlib.import_module(package))[name] = value
        return value

    def dir_() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *table, *folders})

    return getattr_, dir_


def require(module: str, *, feature: str, extra: str) -> ModuleType:
    """Import an optional third party, or say which extra brings it.

    Args:
        module: Dotted name of the module.
        feature: What the user asked for, as the error shows it.
        extra: The extra of this package that installs it.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name.split(".")[0]):
            raise
        raise MissingExtraError(feature, extra) from error
