"""`capabilities`: which kind of work needs which abilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.base import Opinion, SelectionPolicy
from langchain_llmops.routing.catalog import capability_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["capabilities"]


def capabilities(needs: Mapping[str, Collection[str]]) -> SelectionPolicy:
    """Keep candidates from tasks that they are not said to be good for.

    A candidate must be *known* to have what its task needs: unlike the capabilities
    that show in a call (tools, images), these are yours to declare.

    Args:
        needs: Task, as `config["metadata"]["task"]` names it, to the capabilities that
            it needs. Other tasks, and calls without one, need nothing.

    Raises:
        ConfigurationError: A task's needs are one text instead of a set.
    """
    for task, names in needs.items():
        if isinstance(names, str):
            raise ConfigurationError(
                f"task {task!r} needs {names!r}: give a set, {{{names!r}}}"
            )
    return _Capabilities(
        needs={
            task: tuple(capability_name(name) for name in sorted(names))
            for task, names in needs.items()
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Capabilities(SelectionPolicy):
    needs: Mapping[str, tuple[str, ...]]

    def rank(
        self,
        request: RoutingRequest,  # noqa: ARG002 - the interface's
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002
        chance: Chance,  # noqa: ARG002
    ) -> Sequence[Opinion]:
        return [Opinion(key=(0,))] * len(candidates)

    def exclude(self, request: RoutingRequest, candidate: Candidate) -> str | None:
        needs = () if request.task is None else self.needs.get(request.task, ())
        missing = [need for need in needs if not candidate.can(need)]
        if not missing:
            return None
        return f"not known for {', '.join(missing)}, which {request.task!r} needs"

    def check(self, candidates: Sequence[Candidate]) -> None:
        for task, needs in self.needs.items():
            if not any(all(map(one.can, needs)) for one in candidates):
                raise ConfigurationError(
                    f"no candidate has all that task {task!r} needs, {needs!r}: add "
                    "them to the capabilities of one"
                )
