"""What RedisTier refuses, and what it takes from a client; the rest needs a server."""

from __future__ import annotations

import math
import ssl
import sys
from typing import TYPE_CHECKING

import pytest

from langchain_llmops.caching import RedisTier
from langchain_llmops.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from langchain_llmops.caching import Tier

redis = pytest.importorskip("redis", reason="the extra redis is missing")
URL = "redis://localhost:6379/0"


def settings(client: object) -> dict[str, object]:
    pool = RedisTier(client)._clients.threads.connection_pool  # type: ignore[arg-type]
    return {"class": pool.connection_class, **pool.connection_kwargs}


def test_making_one_opens_nothing():
    tier: Tier = RedisTier(URL)  # the network is off
    assert (tier.name, tier.evictions) == ("redis", 0)
    tier.close()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"RedisTier .*langchain-llmops\[redis"):
        RedisTier(URL)


@pytest.mark.parametrize("timeout_s", [0, -1, math.inf, math.nan])
def test_a_deadline_that_is_none_is_refused(timeout_s: float):
    with pytest.raises(ConfigurationError, match="timeout_s"):
        RedisTier(URL, timeout_s=timeout_s)


def test_an_empty_prefix_is_refused():
    with pytest.raises(ConfigurationError, match="prefix=''"):
        RedisTier(URL, prefix="")


@pytest.mark.parametrize("client", [None, 7, object()])
def test_what_is_no_client_is_refused(client: object):
    with pytest.raises(ConfigurationError, match="no client of one server"):
        RedisTier(client)  # type: ignore[arg-type]


def test_a_sentinel_is_refused():
    client = redis.Sentinel([("localhost", 1)]).master_for("service")
    with pytest.raises(ConfigurationError, match="no client of one server"):
        RedisTier(client)


def test_a_wrong_url_is_refused_without_its_password():
    with pytest.raises(ConfigurationError, match="URL") as caught:
        RedisTier("http://user:secret@localhost")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
def test_address_and_credentials_come_along_and_habits_do_not(kind: type):
    client = kind(
        host="cache.internal",
        port=7,
        db=3,
        username="u",
        password="p",
        ssl=True,
        ssl_cert_reqs=ssl.CERT_NONE,
        ssl_check_hostname=False,
        socket_timeout=99,
        socket_connect_timeout=99,
        health_check_interval=9,
        decode_responses=True,
    )
    made = settings(client)
    assert made["class"] is redis.SSLConnection
    expected = {
        "host": "cache.internal",
        "port": 7,
        "db": 3,
        "username": "u",
        "password": "p",
        "ssl_cert_reqs": ssl.CERT_NONE,
        "ssl_check_hostname": False,
        "socket_timeout": 0.25,
        "socket_connect_timeout": 0.25,
    }
    assert expected.items() <= made.items()
    assert {"health_check_interval", "decode_responses"}.isdisjoint(made)


def test_a_unix_socket_will_do():
    made = settings("unix:///run/valkey.sock?db=2")
    assert made["class"] is redis.UnixDomainSocketConnection
    assert (made["path"], made["db"]) == ("/run/valkey.sock", 2)
