"""Several calls of one function as one compiled graph, of which the compiler traces a single call.

Reading Python is most of what a compiled program costs where the compiler's cache is filled: five
updates take five times as long to read as one. They are the same but for their tensors, so one is
read, and its graph is repeated.

Shapes: K calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch.utils._pytree import KeyPath, tree_flatten_with_path


class Repeated:
    """K calls, one after the other, of a function that may change what its calls share.

    The compiler's guards are those of the first call: the tensors of all have to be laid out and
    typed alike, as parts of one tensor are.

    Args:
        function: of what is a call's own and what all calls share, to tensors in tuples and lists.
            What it changes in place the next call sees.
        options: of torch's compiler.
    """

    def __init__(self, function: Callable[[Any, Any], Any], options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        # Part of a function by itself, or one call uncompiled, would be another thing in silence.
        self._function = torch.compile(
            function, backend=self._compile, dynamic=False, fullgraph=True
        )
        self._own: Sequence[Any] = ()
        self._number: int | None = None

    def __call__(self, own: Sequence[Any], shared: Any) -> Any:
        """Return what the calls return, with a leading K.

        Args:
            own: K arguments, tensors in tuples, lists and dictionaries; as many as the first time.
            shared: the same.

        Raises:
            ValueError: there is another number of calls.
            RuntimeError: the compiler can't read the function as a whole.
        """
        if self._number not in (None, len(own)):
            raise ValueError(f"{len(own)} calls: the graph has {self._number}")
        self._own = own
        try:
            return self._function(own[0], shared)
        finally:
            self._own = ()

    def _compile(self, module: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """Return the compiled graph of all calls, by that of the first."""
        # The compiler's own modules take a second, which runs that aren't compiled do without.
        from torch._guards import TracingContext
        from torch._inductor.compile_fx import compile_fx

        self._number = len(self._own)
        leaves, _ = tree_flatten_with_path(self._own[0])
        path_of = {id(leaf): path for path, leaf in leaves}
        paths = [path_of.get(id(one)) for one in inputs]
        own = [path for path in paths if path is not None]
        graph, more = _repeated(module, [path is not None for path in paths], len(self._own))
        mode = TracingContext.get().fake_mode
        assert mode is not None, "the compiler is at work"
        for node, tensor in zip(more, self._following(own), strict=True):
            node.meta["example_value"] = mode.from_tensor(tensor, static_shapes=True)
        together = fx.GraphModule(module, graph)
        together.meta = dict(module.meta)
        examples = [*inputs, *(node.meta["example_value"] for node in more)]
        compiled: Any = compile_fx(together, examples, config_patches=self._options)
        return lambda *first: compiled(*first, *self._following(own))

    def _following(self, paths: Sequence[KeyPath]) -> list[Any]:
        """Return the tensors on some paths of each call's own after the first."""
        return [_at(path, own) for own in self._own[1:] for path in paths]


def _at(path: KeyPath, tree: Any) -> Any:
    for key in path:
        tree = key.get(tree)
    return tree


def _repeated(
    module: fx.GraphModule, is_own: Sequence[bool], number: int
) -> tuple[fx.Graph, list[fx.Node]]:
    """Return the graph of several calls, and the inputs that those after the first add.

    Args:
        module: of one call.
        is_own: whether an input is the call's own, of each.
        number: of calls, K.
    """
    graph = fx.Graph()
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    own = [node for node, is_one in zip(inputs, is_own, strict=True) if is_one]
    first = {node: graph.node_copy(node) for node in inputs}
    others = [
        {node: graph.placeholder(f"{node.name}_of_{call}") for node in own}
        for call in range(1, number)
    ]
    results: list[Any] = [
        graph.graph_copy(module.graph, {**first, **nodes}) for nodes in [{}, *others]
    ]
    stacked = (graph.call_function(torch.stack, (list(one),)) for one in zip(*results, strict=True))
    graph.output(tuple(stacked))
    return graph, [node for nodes in others for node in nodes.values()]
