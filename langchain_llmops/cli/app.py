"""The command line: `llmops`.

Commands import what they need when they run, so that `llmops --help` is quick.
"""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, NoReturn

import typer

from langchain_llmops.cli.cache import app as cache_app
from langchain_llmops.cli.kb import app as kb_app
from langchain_llmops.cli.memory import app as memory_app
from langchain_llmops.errors import LLMOpsError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Take a LangChain proof of concept to production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cache_app, name="cache")
app.add_typer(kb_app, name="kb")
app.add_typer(memory_app, name="memory")


def main() -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 success; 1 a result that is not complete; 2 bad input or a machine
    that cannot do it, told in one line; 130 after Ctrl-C.
    """
    try:
        app()
    except (LLMOpsError, OSError) as error:
        sys.stderr.write(f"Error: {_one_line(error)}\n")
        sys.exit(2)
    sys.exit(0)


def _one_line(error: LLMOpsError | OSError) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, LLMOpsError):
        return text
    where = f" {error.filename!r}" if error.filename else ""
    return f"cannot use{where} ({error.strerror or text}): free it or choose another"


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not an amount such as 0.05") from error
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text!r} must be more than 0")
    return amount


@app.command()
def demo(  # noqa: PLR0913 - options of a command
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only so many questions.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where the HTML report goes.  [reports/]")
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(help="Your documents: .md .txt .rst .py, a folder.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help='Your questions: one {"question": "…"} per line.'),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Call OpenAI; needs OPENAI_API_KEY.")
    ] = False,
    max_usd: Annotated[
        Decimal,
        typer.Option(parser=_usd, metavar="USD", help="Ceiling on real costs."),
    ] = Decimal("0.05"),
    base_url: Annotated[
        str | None,
        typer.Option(help="Call this OpenAI-compatible server: Ollama, vLLM, …"),
    ] = None,
    model: Annotated[str, typer.Option(help="Chat model.")] = "gpt-4o-mini",
    embedding_model: Annotated[
        str, typer.Option(help="Embedding model.")
    ] = "text-embedding-3-small",
    concurrency: Annotated[
        int, typer.Option(min=1, help="Questions open at once.")
    ] = 16,
    seed: Annotated[int, typer.Option(help="Seed of the local provider.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Keep the cache in this SQLite file.  [none]")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Where costs go.  [a file beside the report]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON.")
    ] = False,
) -> None:
    """Run one RAG chain over real documents, without and with a cache, and compare.

    Needs no key and no network: a local provider answers, unless --real or --base-url
    name another one.
    """
    from langchain_llmops.cli.demo.settings import Settings  # noqa: PLC0415

    settings = Settings(
        model=model,
        embedding_model=embedding_model,
        real=real,
        base_url=base_url,
        max_usd=max_usd,
        docs=docs,
        questions=questions,
        limit=limit,
        concurrency=concurrency,
        seed=seed,
        report=report,
        cache=cache,
        ledger=ledger,
    )
    # Seconds of imports: bad options are told before.
    from langchain_llmops.cli.demo.command import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(settings, as_json=as_json))


@app.command()
def provider(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")
    ] = 8000,
    seed: Annotated[int, typer.Option(help="Where all chance comes from.")] = 0,
    first_token: Annotated[
        float, typer.Option(min=0, help="Median seconds until the first token.")
    ] = 0.0,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Median pace after that.  [at once]")
    ] = None,
) -> None:
    """Serve the OpenAI API on this machine until Ctrl-C; any key will do.

    Answers come from the context in the prompt. The invoice is shown at the end.
    """
    from langchain_llmops.cli.provider import run_provider  # noqa: PLC0415

    raise typer.Exit(
        run_provider(
            port=port,
            seed=seed,
            first_token_s=first_token,
            tokens_per_s=tokens_per_second,
        )
    )


@app.command()
def report(
    *,
    by: Annotated[
        str, typer.Option(help="tenant, user, feature, model, provider; with commas.")
    ] = "feature,model",
    since: Annotated[
        str | None, typer.Option(help="7d, 24h, 2w or a date.  [the beginning]")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same.  [now]")] = None,
    ledger: Annotated[
        str, typer.Option(help="The file or URL that UsageLedger writes to.")
    ] = "llmops.db",
    timeframe: Annotated[
        str, typer.Option(help="hourly, daily, weekly or monthly periods (JSON).")
    ] = "daily",
    format_: Annotated[
        str, typer.Option("--format", help="table, csv or json.")
    ] = "table",
) -> None:
    """Show what a ledger says: cost, waste and savings, trend and the month's end.

    Windows are widened to whole days in UTC (hourly: to whole hours).
    """
    from langchain_llmops.cli.report import run_report  # noqa: PLC0415

    raise typer.Exit(
        run_report(
            ledger=ledger,
            by=by,
            since=since,
            until=until,
            timeframe=timeframe,
            format_=format_,
        )
    )


@app.command()
def doctor(
    *,
    fetch_encodings: Annotated[
        bool,
        typer.Option("--fetch-encodings", help="Download the tokenizer's rank files."),
    ] = False,
) -> None:
    """Check this machine: versions, extras, encodings, folders."""
    from langchain_llmops.cli.doctor import run_doctor  # noqa: PLC0415

    raise typer.Exit(run_doctor(fetch_encodings=fetch_encodings))
