"""What LangSmith would show: the real client, tracing to a recording endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers import LangChainTracer
from langchain_openai import ChatOpenAI
from langsmith import Client

from langchain_llmops import CacheLayer, CostCallbackHandler, TieredCache, with_layers

INFO = {
    "version": "0.10.0",
    # Plain JSON batches, so that the recorder needs no multipart parser.
    "batch_ingest_config": {
        "use_multipart_endpoint": False,
        "size_limit": 100,
        "size_limit_bytes": 20_000_000,
        "scale_up_nthreads_limit": 1,
        "scale_up_qsize_trigger": 1000,
    },
}


class Recorder(ThreadingHTTPServer):
    """Keeps every run that a LangSmith client posts or patches."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), RecordingHandler)
        self.runs = {}

    def tree(self):
        """Return (depth, name, run_type) of each run, in LangSmith's display order."""
        ordered = sorted(self.runs.values(), key=lambda run: run["dotted_order"])
        return [
            (run["dotted_order"].count("."), run["name"], run["run_type"])
            for run in ordered
        ]


class RecordingHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(json.dumps(INFO).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for run in (*body.get("post", ()), *body.get("patch", ())):
            known = self.server.runs.setdefault(run["id"], {})
            known.update({key: value for key, value in run.items() if value})
        self.answer(b"{}")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def traced(recorder):
    client = Client(api_url=f"http://127.0.0.1:{recorder.server_port}", api_key="x")
    yield LangChainTracer(client=client, project_name="demo")
    client.flush()
    client.close()


def chain_on(model):
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Context: {context}"), ("human", "{question}")]
    )
    return prompt | model | StrOutputParser()


def test_the_production_chain_looks_like_the_one_it_replaces(
    provider, recorder, traced
):
    bare = ChatOpenAI(base_url=provider.base_url, api_key="x", model="gpt-4o-mini")
    costs = CostCallbackHandler()
    config = {
        "callbacks": [traced, costs],
        "metadata": {"tenant": "acme", "feature": "docs"},
        "run_name": "rag",
    }
    question = {"context": "Python is a language.", "question": "What is Python?"}
    chain_on(bare).invoke(question, config)
    traced.client.flush()
    poc, shown = recorder.tree(), set(recorder.runs)

    layered = chain_on(with_layers(bare, CacheLayer(TieredCache())))
    for _ in range(2):
        answer = layered.invoke(question, config)
    traced.client.flush()
    rest = {key: run for key, run in recorder.runs.items() if key not in shown}
    recorder.runs = rest

    assert poc == [
        (0, "rag", "chain"),
        (1, "ChatPromptTemplate", "prompt"),
        (1, "ChatOpenAI", "llm"),
        (1, "StrOutputParser", "parser"),
    ]
    assert recorder.tree() == poc * 2
    models = [run for run in rest.values() if run["run_type"] == "llm"]
    assert all(run.get("end_time") and not run.get("error") for run in rest.values())
    assert all(run["extra"]["metadata"]["tenant"] == "acme" for run in models)
    assert all(run["extra"]["metadata"]["ls_model_name"] for run in models)
    hit = max(models, key=lambda run: run["dotted_order"])
    message = hit["outputs"]["generations"][0][0]["message"]["kwargs"]
    assert message["content"] == answer
    assert message["response_metadata"]["cache"]["hit"] is True
    assert message["usage_metadata"]["total_tokens"] == 0
    assert costs.report().cache_hits == 1
    assert len(provider.invoice) == 2


def test_a_demo_run_shows_up_as_its_chains(recorder, tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("llmops"), "demo", "--limit", "3"],
        env=os.environ
        | {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{recorder.server_port}",
            "LANGSMITH_API_KEY": "x",
            "LANGSMITH_PROJECT": "llmops-demo",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tree = recorder.tree()
    assert [row for row in tree if row[0] == 0 and row[2] == "chain"]
    # Three questions by two chains; the chapters ask some more.
    assert sum(name == "ChatOpenAI" for _, name, _ in tree) >= 6
    assert all(run.get("end_time") for run in recorder.runs.values())
