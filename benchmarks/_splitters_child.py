"""Other splitters, in an environment of their own: one job per run, from stdin.

Reads `{"name", "text", "limit", "rounds"}` as JSON, where `text` is a file; prints the
CPU seconds of each round and the chunks.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path


def semantic(limit, *, markdown):
    import semantic_text_splitter as sts  # noqa: PLC0415 - only the one that is asked for

    kind = sts.MarkdownSplitter if markdown else sts.TextSplitter
    return kind.from_tiktoken_model("gpt-4o", limit, trim=False).chunks


def chonkie(limit):
    import tiktoken  # noqa: PLC0415 - as above
    from chonkie import RecursiveChunker  # noqa: PLC0415 - as above

    coder = tiktoken.get_encoding("o200k_base")
    chunker = RecursiveChunker(tokenizer=coder, chunk_size=limit)
    return lambda text: [chunk.text for chunk in chunker.chunk(text)]


KINDS = {
    "semantic-text-splitter": partial(semantic, markdown=False),
    "semantic-text-splitter, Markdown": partial(semantic, markdown=True),
    "chonkie RecursiveChunker": chonkie,
}


def main():
    job = json.load(sys.stdin)
    text = Path(job["text"]).read_text(encoding="utf-8")
    split = KINDS[job["name"]](job["limit"])
    split(text[:10_000])  # loads what it loads
    seconds, chunks = [], []
    for _ in range(job["rounds"]):
        start = time.process_time()
        chunks = split(text)
        seconds.append(time.process_time() - start)
    json.dump({"seconds": seconds, "chunks": chunks}, sys.stdout)


if __name__ == "__main__":
    main()
