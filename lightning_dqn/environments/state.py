"""The state of environments as plain values: read from any, put back into another one like it.

Nothing in it is code: numbers, texts, arrays and the states of generators, found by walking the
environment, its wrappers and the objects they hold. An environment whose state can't be had so
(a simulator in C, a process elsewhere) is found out by :mod:`lightning_dqn.environments.grade`.
One that knows better has ``state_dict()`` and ``load_state_dict(state)`` of its own.
"""

from __future__ import annotations

import enum
import functools
import random
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

MOST_BYTES = 16 * 2**20
"""An environment with more state than this is begun anew: it would be written at every save."""

_KIND = "="
_PLAIN = {type(None), bool, int, float, str, bytes}
_FIXED = (
    type,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.ModuleType,
    functools.partial,
    np.dtype,
    gym.Space,
    EnvSpec,
)
"""What an environment is made with and doesn't change."""

_IS_ON_HEAP, _IS_IMMUTABLE = 1 << 9, 1 << 8
"""A type's flags: what a ``class`` statement makes has the first alone; from Python 3.12 on many
types of C have both."""


class UnknownStateError(TypeError):
    """Something in an environment whose state can't be read or put back."""


def read_state(environment: Any) -> Any:
    """Return the state of an environment, as plain values that ``torch.load`` takes.

    Raises:
        UnknownStateError: it holds something whose state can't be read, too much, or fails itself.
    """
    try:
        return _Reader().read(environment)
    except UnknownStateError:
        raise
    except Exception as error:  # whatever an environment that reads its own state raises
        raise UnknownStateError(f"{type(error).__name__}: {error}") from error


def write_state(environment: Any, state: Any) -> None:
    """Put a state into an environment that was made like the one it was read from.

    Raises:
        UnknownStateError: the environment isn't like that one.
    """
    _Writer(environment).write(environment, state)


def knows_its_state(environment: Any) -> bool:
    """Tell whether an environment reads and writes its state itself."""
    return all(callable(getattr(type(environment), n, None)) for n in ("state_dict", _LOAD))


_LOAD = "load_state_dict"


class _Reader:
    """Reads one environment; what is met twice is named by its number the second time."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no other object gets the place in memory of one met
        self._bytes = 0

    def read(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            if type(value) is bytes:
                self._count(len(value))
            return value
        if isinstance(value, _FIXED):
            return {_KIND: "fixed"}
        if isinstance(value, enum.Enum):
            return {_KIND: "enum", "class": _name(type(value)), "name": value.name}
        if isinstance(value, np.generic):
            return {**self._read_array(np.asarray(value)), _KIND: "number"}
        if id(value) in self._numbers:
            return {_KIND: "seen", "number": self._numbers[id(value)]}
        number = self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)
        return {"number": number, **self._read_new(value)}

    def _read_new(self, value: Any) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return self._read_array(value)
        if isinstance(value, torch.Tensor):
            self._count(value.nbytes)
            return {_KIND: "tensor", "tensor": value.detach().cpu().clone()}
        for kind, (type_, get, _) in _GENERATORS.items():
            if type(value) is type_:
                return {_KIND: kind, "state": self.read(get(value))}
        if type(value) in _SEQUENCES or hasattr(type(value), "_fields"):
            extra = {"maxlen": value.maxlen} if type(value) is deque else {}
            items = [self.read(item) for item in value]
            return {_KIND: "sequence", "class": _name(type(value)), "items": items, **extra}
        if type(value) is dict:
            items = [[self.read(key), self.read(item)] for key, item in value.items()]
            return {_KIND: "mapping", "items": items}
        return self._read_object(value)

    def _read_array(self, value: np.ndarray) -> dict[str, Any]:
        if value.dtype.hasobject:
            raise UnknownStateError(f"an array of the type {value.dtype}")
        self._count(value.nbytes)
        about = {"dtype": value.dtype.str, "shape": list(value.shape)}
        return {_KIND: "array", **about, "data": value.tobytes()}

    def _count(self, num_bytes: int) -> None:
        self._bytes += num_bytes
        if self._bytes > MOST_BYTES:
            raise UnknownStateError(f"more than {MOST_BYTES >> 20} MiB")

    def _read_object(self, value: Any) -> dict[str, Any]:
        about: dict[str, Any] = {_KIND: "object", "class": _name(type(value))}
        if knows_its_state(value):
            return {**about, _KIND: "own", "state": value.state_dict()}
        if _can_be_cloned(value):
            clone = value.clone_state(include_rng=True).__getstate__()
            if not isinstance(clone, bytes):
                raise UnknownStateError(f"a clone as a {type(clone).__name__}")
            about["clone"] = clone
        elif not _is_plain_object(value):
            raise UnknownStateError(f"a {_name(type(value))}")
        skipped = _OF_SIMULATOR if "clone" in about else ()
        attributes = {n: self.read(v) for n, v in vars(value).items() if n not in skipped}
        return {**about, "attributes": attributes}


class _Writer:
    """Writes into one environment; classes are those of objects in it, none is looked up."""

    def __init__(self, environment: Any) -> None:
        self._classes: dict[str, type] = {_name(kind): kind for kind in _SEQUENCES}
        self._look_for_classes(environment, set())
        self._made: dict[int, Any] = {}
        self._used: set[int] = set()

    def write(self, existing: Any, state: Any) -> Any:
        """Return the value of ``state``, in ``existing`` itself where that can be."""
        if not isinstance(state, Mapping):
            return state
        kind = state[_KIND]
        if kind == "fixed":
            return existing
        if kind == "enum":
            return self._class(state)[state["name"]]  # type: ignore[index]
        if kind == "seen":
            return self._made[state["number"]]
        if kind in ("array", "number"):
            flat = np.frombuffer(state["data"], np.dtype(state["dtype"]))
            array = flat.reshape(state["shape"]).copy()
            return self._keep(state, array) if kind == "array" else array[()]
        if kind == "tensor":
            return self._keep(state, state["tensor"].clone())
        if kind in _GENERATORS:
            return self._write_generator(existing, state)
        if kind == "sequence":
            return self._write_sequence(existing, state)
        if kind == "mapping":
            return self._write_mapping(existing, state)
        return self._write_object(existing, state)

    def _keep(self, state: Mapping[str, Any], value: Any) -> Any:
        self._made[state["number"]] = value
        return value

    def _takes(self, existing: Any, kind: type) -> bool:
        """Tell whether a value may go into what exists: of its type, and not another's by now."""
        if type(existing) is not kind or id(existing) in self._used:
            return False
        self._used.add(id(existing))
        return True

    def _write_generator(self, existing: Any, state: Mapping[str, Any]) -> Any:
        type_, _, put = _GENERATORS[state[_KIND]]
        value = self.write(None, state["state"])
        return self._keep(state, put(existing if self._takes(existing, type_) else None, value))

    def _write_sequence(self, existing: Any, state: Mapping[str, Any]) -> Any:
        kind, saved = self._class(state), state["items"]
        old = list(existing) if isinstance(existing, (list, tuple, deque)) else []
        old += [None] * (len(saved) - len(old))
        if kind in (list, deque):  # it may hold itself
            value: Any = deque(maxlen=state["maxlen"]) if kind is deque else []
            self._keep(state, value)
            value.extend(self.write(one, item) for one, item in zip(old, saved, strict=False))
            return value
        items = [self.write(one, item) for one, item in zip(old, saved, strict=False)]
        return self._keep(state, kind(*items) if hasattr(kind, "_fields") else kind(items))

    def _write_mapping(self, existing: Any, state: Mapping[str, Any]) -> Any:
        old = existing if isinstance(existing, dict) else {}
        value: dict[Any, Any] = self._keep(state, {})
        for saved_key, item in state["items"]:
            key = self.write(None, saved_key)
            value[key] = self.write(old.get(key), item)
        return value

    def _write_object(self, existing: Any, state: Mapping[str, Any]) -> Any:
        kind = self._class(state)
        value = self._keep(state, existing if self._takes(existing, kind) else object.__new__(kind))
        if state[_KIND] == "own":
            value.load_state_dict(state["state"])
            return value
        old = dict(vars(value))
        kept = {n: v for n, v in old.items() if "clone" in state and n in _OF_SIMULATOR}
        new = {n: self.write(old.get(n), item) for n, item in state["attributes"].items()}
        vars(value).clear()
        vars(value).update(kept | new)
        if "clone" in state:
            simulator: Any = type(value.clone_state())
            clone = simulator.__new__(simulator)
            clone.__setstate__(state["clone"])
            value.restore_state(clone)
        return value

    def _class(self, state: Mapping[str, Any]) -> type:
        name = state["class"]
        if name not in self._classes:
            raise UnknownStateError(f"no {name} is in this environment")
        return self._classes[name]

    def _look_for_classes(self, value: Any, met: set[int]) -> None:
        if type(value) in _PLAIN or isinstance(value, _FIXED) or id(value) in met:
            return
        met.add(id(value))
        self._classes.setdefault(_name(type(value)), type(value))
        inner: Any = ()
        if isinstance(value, Mapping):
            inner = [*value.keys(), *value.values()]
        elif isinstance(value, _SEQUENCES):
            inner = value
        elif hasattr(value, "__dict__") and not knows_its_state(value):
            inner = vars(value).values()
        for one in list(inner):
            self._look_for_classes(one, met)


_SEQUENCES = (list, tuple, deque, set, frozenset)
_OF_SIMULATOR = ("ale",)
"""Where an environment of the Arcade Learning Environment keeps what ``clone_state`` copies."""


def _can_be_cloned(value: Any) -> bool:
    return isinstance(value, gym.Env) and all(
        callable(getattr(type(value), name, None)) for name in ("clone_state", "restore_state")
    )


def _is_plain_object(value: Any) -> bool:
    """Tell whether all there is of an object are its attributes."""
    bases = type(value).__mro__
    return hasattr(value, "__dict__") and all(
        base is object or base.__flags__ & (_IS_ON_HEAP | _IS_IMMUTABLE) == _IS_ON_HEAP
        for base in bases
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _bit_generator_state(generator: np.random.Generator) -> Any:
    return generator.bit_generator.state


def _put_generator(existing: Any, state: Any) -> np.random.Generator:
    name = state["bit_generator"]
    if existing is None or type(existing.bit_generator).__name__ != name:
        existing = np.random.Generator(_BIT_GENERATORS[name]())
    existing.bit_generator.state = state
    return existing


def _put_random_state(existing: Any, state: Any) -> np.random.RandomState:
    made = np.random.RandomState() if existing is None else existing
    made.set_state(state)
    return made


def _put_random(existing: Any, state: Any) -> random.Random:
    made = random.Random() if existing is None else existing
    made.setstate(state)
    return made


def _put_torch(existing: Any, state: Any) -> torch.Generator:
    made = torch.Generator() if existing is None else existing
    made.set_state(state)
    return made


_BIT_GENERATORS: dict[str, Callable[[], Any]] = {
    name: getattr(np.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
}

_GENERATORS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "numpy generator": (np.random.Generator, _bit_generator_state, _put_generator),
    "numpy random state": (
        np.random.RandomState,
        lambda one: one.get_state(legacy=False),
        _put_random_state,
    ),
    "python random": (random.Random, lambda one: one.getstate(), _put_random),
    "torch generator": (torch.Generator, lambda one: one.get_state(), _put_torch),
}
