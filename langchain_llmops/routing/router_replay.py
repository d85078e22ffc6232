"""What was asked of a router before the call, and asked again of whoever is chosen.

`bind_tools` and `with_structured_output` depend on the provider: so a router notes the
request, and each candidate fulfils it in its own way when its turn comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import RunnableSequence
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_llmops.routing.candidate import Candidate

__all__ = ["STRUCTURED", "Prepared", "Recorded", "Replay"]

STRUCTURED: Final = "with_structured_output"
"""The method whose result is taken apart into the model and its parser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A method of a chat model that was called on the router.

    Attributes:
        method: `bind_tools` or `with_structured_output`.
        subject: Its first argument: the tools or the schema.
        kwargs: The others.
    """

    method: str
    subject: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A candidate's model, ready for a call.

    Attributes:
        model: What is called: the model, or a binding of it.
        parser: What makes of the message what the schema asks for; `None` without one.
    """

    model: Runnable[Any, Any]
    parser: Runnable[Any, Any] | None = None


class Replay:
    """What was asked of one router, and each candidate's way of doing it, made once.

    Safe across threads and event loops: at worst two make the same.

    Args:
        recorded: What was asked, in order.

    Attributes:
        needs: The same as the arguments that a call would carry. They say which
            capabilities a candidate needs, and are not sent.
    """

    __slots__ = ("_prepared", "_recorded", "needs")

    def __init__(self, recorded: Sequence[Recorded]) -> None:
        self.needs = _needs(recorded)
        self._recorded = recorded
        self._prepared: dict[str, Prepared] = {}

    def on(self, candidate: Candidate) -> Prepared:
        """Return a candidate's model with everything done to it that was asked.

        Raises:
            ConfigurationError: The model's `with_structured_output` returns something
                that cannot be taken apart into the model and its parser.
            NotImplementedError: The model cannot bind tools; other errors of its
                methods come through likewise.
        """
        found = self._prepared.get(candidate.name)
        if found is None:
            found = _replayed(candidate.model, self._recorded)
            self._prepared[candidate.name] = found
        return found


def _replayed(model: BaseChatModel, recorded: Sequence[Recorded]) -> Prepared:
    runnable: Runnable[Any, Any] = model
    parser = None
    for each in recorded:
        runnable = getattr(runnable, each.method)(each.subject, **each.kwargs)
        if each.method == STRUCTURED:
            runnable, parser = _halves(runnable, model)
    return Prepared(model=runnable, parser=parser)


def _needs(recorded: Sequence[Recorded]) -> dict[str, Any]:
    needs: dict[str, Any] = {}
    for each in recorded:
        if each.method == STRUCTURED:
            by_tools = each.kwargs.get("method") == "function_calling"
            needs["tools" if by_tools else "response_format"] = [each.subject]
        else:
            needs |= {**each.kwargs, "tools": _schemas(each.subject)}
    return needs


def _halves(
    runnable: Runnable[Any, Any], model: BaseChatModel
) -> tuple[Runnable[Any, Any], Runnable[Any, Any]]:
    if not isinstance(runnable, RunnableSequence):
        raise ConfigurationError(
            f"with_structured_output of {type(model).__name__!r} gives a "
            f"{type(runnable).__name__!r}, which hides its model from the router: "
            "bind the schema yourself and parse behind the router"
        )
    first, *rest = runnable.steps
    return first, rest[0] if len(rest) == 1 else RunnableSequence(*rest)


def _listed(subject: Any) -> Sequence[Any]:
    return subject if isinstance(subject, list | tuple) else [subject]


def _schemas(tools: Sequence[Any]) -> list[Any]:
    return [_schema(tool) for tool in _listed(tools)]


def _schema(tool: Any) -> Any:
    try:
        return convert_to_openai_tool(tool)
    except (TypeError, ValueError):
        return repr(tool)
