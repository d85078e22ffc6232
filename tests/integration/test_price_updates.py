"""Prices that genai-prices fetches while a service runs are used from then on."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from genai_prices import UpdatePrices
from genai_prices.data_snapshot import set_custom_snapshot

from langchain_llmops.pricing import Prices, UsdPerMillion

USAGE = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}
LISTED = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": "https://api.openai.com",
        "models": [
            {
                "id": "gpt-4o-mini",
                "match": {"equals": "gpt-4o-mini"},
                "prices": {"input_mtok": 7, "output_mtok": 9},
            }
        ],
    }
]


class PriceList(BaseHTTPRequestHandler):
    def do_GET(self):
        content = json.dumps(LISTED).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def price_list():
    server = ThreadingHTTPServer(("127.0.0.1", 0), PriceList)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/prices.json"
    server.shutdown()
    thread.join()
    server.server_close()
    set_custom_snapshot(None)


def test_prices_follow_an_update(price_list):
    prices = Prices({"mine": UsdPerMillion(input="1", output="1")})
    before = prices.price("gpt-4o-mini", USAGE), prices.version
    with UpdatePrices(url=price_list) as updates:
        updates.wait(10)
        assert prices.price("gpt-4o-mini", USAGE) == Decimal(7)
        assert prices.price("mine", USAGE) == Decimal(1)
        assert " of 20" in prices.version
    set_custom_snapshot(None)
    assert (prices.price("gpt-4o-mini", USAGE), prices.version) == before


def test_an_update_that_fails_leaves_the_prices_as_they_are():
    prices = Prices()
    before = prices.price("gpt-4o-mini", USAGE), prices.version
    with UpdatePrices(url="http://127.0.0.1:9/none.json") as updates:
        with pytest.raises(httpx2.ConnectError):
            updates.wait(10)
        assert (prices.price("gpt-4o-mini", USAGE), prices.version) == before
