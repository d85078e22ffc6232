"""What is known about counting for a model, found by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_llmops._encodings import ENCODINGS
from langchain_llmops.model_names import parse
from langchain_llmops.tokens.images import Area, openai_image_rule

if TYPE_CHECKING:
    from langchain_llmops.tokens.images import ImageRule

__all__ = ["ChatFormat", "Profile", "profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """Tokens that a provider puts around messages, calls and tools.

    Attributes:
        per_message: Around each message, beside its role's one token.
        per_name: Beside a name's own tokens.
        priming: What opens the answer, and fixed parts of every prompt.
        per_call: Around the name and arguments of a tool call.
        published: Whether the provider has published these figures.
        typescript: Whether tools are written as OpenAI does; else as JSON schemas.
        tools: Tokens of any set of tools, beside their schemas.
        message_slack: What a bound adds per message.
        call_slack: What a bound adds per tool call or result.
        request_slack: What a bound adds once.
        tools_slack: What a bound adds if there are tools.
    """

    per_message: int = 3
    per_name: int = 1
    priming: int = 3
    per_call: int = 3
    published: bool = False
    typescript: bool = True
    tools: int = 0
    message_slack: int = 2
    call_slack: int = 16
    request_slack: int = 16
    tools_slack: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to count for a model.

    Attributes:
        encoding: The encoding that is exact for its text, or `None`.
        family: The estimator for its text, a key of `scripts.FAMILIES`.
        chat: What surrounds messages.
        image: What images cost.
    """

    encoding: str | None
    family: str
    chat: ChatFormat
    image: ImageRule


# https://github.com/openai/openai-cookbook: "How to count tokens with tiktoken".
_PUBLISHED = ChatFormat(published=True, message_slack=0, request_slack=0)
_FIRST_TURBO = ChatFormat(
    published=True, per_message=4, per_name=-1, message_slack=0, request_slack=0
)
# Seen to be one token shorter than published for older models, which the bound covers.
_REASONING = ChatFormat()
# Harmony: a system message of its own, with today's date, opens every prompt.
_HARMONY = ChatFormat(priming=70, request_slack=40)
_OTHER = ChatFormat(
    per_message=4,
    per_call=10,
    typescript=False,
    tools=60,
    message_slack=4,
    call_slack=40,
    request_slack=40,
    tools_slack=300,
)
# A system prompt for tool use: 264 to 530 tokens by model and tool choice.
_CLAUDE = ChatFormat(
    per_call=10,
    typescript=False,
    tools=346,
    message_slack=4,
    call_slack=40,
    request_slack=12,
    tools_slack=300,
)

_OPENAI = re.compile(r"(chat)?gpt-\d|o\d+($|-)|codex|computer-use|text-embedding-3")
_PUBLISHED_CHAT = re.compile(r"(chat)?gpt-(3\.5|35|4)")
_CLAUDE_VERSION = re.compile(
    r"claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?"
)
_CLAUDE_NEW = (4, 7)
_FAMILIES = (
    (re.compile(r"llama-?[34]|llama-?guard-?[34]|distill-llama"), "llama"),
    (re.compile(r"qwen|qwq|qvq"), "qwen"),
    (re.compile(r"deepseek"), "deepseek"),
    (re.compile(r"gemini|gemma|learnlm"), "gemini"),
    (re.compile(r"mistral-7b|mixtral|llama"), "other"),  # 32,000 SentencePiece tokens
    (re.compile(r"[mc]istral|[a-z]+stral|nemo"), "mistral"),
)
_LARGEST_IMAGE = 16_384  # Qwen-VL's limit, the highest that is known
_CLAUDE_IMAGES = {"claude": Area(1600), "claude-4.7": Area(4784)}


@lru_cache(maxsize=1024)
def profile(model: str) -> Profile:
    """Return how to count for a model; an unknown name gets careful estimates.

    Args:
        model: The name as configured: with a provider before it, dated or fine-tuned.
    """
    base = parse(model).base
    known = _encoding_name(base)
    if known or _OPENAI.match(base):
        return Profile(
            encoding=known,
            family=_openai_family(known),
            chat=_openai_chat(base, known),
            image=openai_image_rule(base),
        )
    if "claude" in base:
        family = _claude_family(base)
        return Profile(
            encoding=None, family=family, chat=_CLAUDE, image=_CLAUDE_IMAGES[family]
        )
    found = (family for pattern, family in _FAMILIES if pattern.search(base))
    return Profile(
        encoding=None,
        family=next(found, "other"),
        chat=_OTHER,
        image=Area(_LARGEST_IMAGE),
    )


def _encoding_name(base: str) -> str | None:
    """Return the encoding that tiktoken gives a model, if it can be built."""
    from tiktoken.model import encoding_name_for_model  # noqa: PLC0415 - 20 ms

    try:
        name = encoding_name_for_model(base)
    except KeyError:
        name = "o200k_harmony" if base.startswith("gpt-oss") else ""
    return name if name in ENCODINGS else None


def _openai_family(encoding: str | None) -> str:
    """Return the estimator that stands in for an encoding without its rank file."""
    if encoding is None or encoding.startswith("o200k"):
        return "openai"
    return "cl100k" if encoding == "cl100k_base" else "other"


def _openai_chat(base: str, encoding: str | None) -> ChatFormat:
    if encoding == "o200k_harmony":
        return _HARMONY
    if base.startswith("gpt-3.5-turbo-0301"):
        return _FIRST_TURBO
    return _PUBLISHED if _PUBLISHED_CHAT.match(base) else _REASONING


def _claude_family(base: str) -> str:
    """Return which of its two tokenisers a Claude has; an unnumbered one the newer."""
    version = _CLAUDE_VERSION.search(base)
    if version is None:
        return "claude-4.7"
    number = (int(version[1]), int(version[2] or 0))
    return "claude-4.7" if number >= _CLAUDE_NEW else "claude"
