# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Parts of a run, read alike from a config and from what was built of it."""
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Optional

from mmengine.registry import Registry


class Part:
    """A model, data set, transform, ... that a config names or that is there.

    ``value`` is its config, whose type is found in ``registry``, or itself;
    ``path`` is where it stands, such as 'train_dataloader.dataset', ``scope``
    that of the config around it.
    """

    def __init__(self, value: Any, registry: Optional[Registry] = None,
                 path: str = '', scope: Optional[str] = None) -> None:
        self.value = value
        self.path = path
        self.is_config = isinstance(value, Mapping)
        self.scope = scope
        if self.is_config:
            self.scope = value.get('_scope_', scope)
        self.cls = self._find_class(registry)

    def _find_class(self, registry: Optional[Registry]) -> Optional[type]:
        if not self.is_config:
            return type(self.value)
        kind = self.value.get('type')
        if not isinstance(kind, str):
            return kind
        if registry is None:
            return None
        names = [kind]
        if self.scope and '.' not in kind:
            names.insert(0, f'{self.scope}.{kind}')
        for name in names:
            found = registry.get(name)
            if found is not None:
                return found
        return None

    @property
    def name(self) -> str:
        """Name of its class."""
        if self.cls is not None:
            return getattr(self.cls, '__name__', str(self.cls))
        return str(self.value.get('type', '')).rpartition('.')[2]

    def is_a(self, *names: str) -> bool:
        """Whether its class, or one it is derived from, has such a name."""
        bases = getattr(self.cls, '__mro__', ())
        return self.name in names or any(x.__name__ in names for x in bases)

    @property
    def is_stranger(self) -> bool:
        """Whether it is the user's own, of which nothing is known."""
        module = getattr(self.cls, '__module__', '') or ''
        return module.partition('.')[0] not in (
            'mmaction', 'mmengine', 'mmcv', 'mmdet', 'mmaction_memvit',
            'torch')

    @property
    def is_ours(self) -> bool:
        """Whether it is of this package, or derived from what is."""
        return any(x.__module__.partition('.')[0] == 'mmaction_memvit'
                   for x in getattr(self.cls, '__mro__', ()))

    def has(self, option: str) -> bool:
        """Whether there is an option or method of that name."""
        if hasattr(self.cls, option):
            return True
        if self.is_config:
            return option in self.value or option in self.options()
        return hasattr(self.value, option)

    def get(self, option: str, default: Any = None) -> Any:
        """An option as it is set, else its default."""
        if self.is_config:
            if option in self.value:
                return self.value[option]
            return self.options().get(option, default)
        if hasattr(self.value, option):
            return getattr(self.value, option)
        # Data sets keep what they say of clips in their grid.
        return getattr(getattr(self.value, 'grid', None), option, default)

    def options(self) -> dict[str, Any]:
        """Options of its class, with their defaults."""
        return _options_of(self.cls)

    def child(self, option: str, registry: Registry) -> Optional['Part']:
        """A part of it, None without one."""
        value = self.get(option)
        if value is None:
            return None
        return Part(value, registry, f'{self.path}.{option}', self.scope)

    def children(self, option: str, registry: Registry) -> Iterator['Part']:
        """The parts of it that an option lists."""
        values = self.get(option)
        # Compose, ModuleList and the like.
        values = getattr(values, 'transforms', values)
        for i, value in enumerate(values or ()):
            yield Part(value, registry, f'{self.path}.{option}[{i}]',
                       self.scope)

    def __repr__(self) -> str:
        return self.name


@cache
def _options_of(cls: Any) -> dict[str, Any]:
    """Options of a class, and of those it hands the others on to."""
    found: dict[str, Any] = {}
    for base in getattr(cls, '__mro__', ()):
        init = vars(base).get('__init__')
        if init is None or base is object:
            continue
        options = inspect.signature(init).parameters.values()
        for option in options:
            if option.kind not in (option.VAR_KEYWORD, option.VAR_POSITIONAL):
                empty = option.default is option.empty
                found.setdefault(option.name,
                                 None if empty else option.default)
        if not any(x.kind == x.VAR_KEYWORD for x in options):
            break
    return found
