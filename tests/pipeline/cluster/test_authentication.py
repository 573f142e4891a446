"""The token of a Ray on this machine; no Ray starts in here."""

import os

import pytest
import ray

from pipeline.cluster import authentication, session

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_K8S_TOKEN_AUTH")
SETTINGS = [
    {},
    {"RAY_AUTH_MODE": ""},
    {"RAY_AUTH_MODE": "token"},
    {"RAY_AUTH_MODE": "TOKEN", "RAY_AUTH_TOKEN": "that of a cluster"},
    {"RAY_AUTH_TOKEN_PATH": "/nonexistent/token"},
    {"RAY_AUTH_TOKEN": "", "RAY_ENABLE_K8S_TOKEN_AUTH": "1"},
]


def found_settings():
    return {name: os.environ[name] for name in NAMES if name in os.environ}


@pytest.fixture
def reloads(monkeypatch):
    """The settings at each time Ray was to read them again; a Ray of other tests in this process reads nothing."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    seen = []
    monkeypatch.setattr(authentication, "_reload_settings", lambda: seen.append(found_settings()))
    return seen


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_random_token_is_in_the_environment_within_the_context_only(reloads, monkeypatch, settings):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    tokens = set()
    for _ in range(2):
        with authentication.random_token():
            within = found_settings()
            assert (within["RAY_AUTH_MODE"], within["RAY_ENABLE_K8S_TOKEN_AUTH"]) == ("token", "0")
            assert bytes.fromhex(within["RAY_AUTH_TOKEN"]) and len(within["RAY_AUTH_TOKEN"]) == 64
            tokens.add(within["RAY_AUTH_TOKEN"])
        assert found_settings() == settings
    assert len(tokens) == 2
    assert [each == settings for each in reloads] == [False, True] * 2


def test_random_token_is_taken_back_after_an_error(reloads):
    with pytest.raises(ZeroDivisionError), authentication.random_token():
        raise ZeroDivisionError
    assert found_settings() == {}


def test_random_token_leaves_a_mode_that_the_user_chose(reloads, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with authentication.random_token():
        assert found_settings() == {"RAY_AUTH_MODE": "disabled"}
    assert reloads == []


@pytest.mark.parametrize(("address", "own"), [(None, True), ("10.0.0.7:6379", False)])
def test_session_gives_only_its_own_ray_a_token(reloads, monkeypatch, address, own):
    for key, value in session.RAY_ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "that of a cluster")
    seen = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *_, **__: seen.append(found_settings()))
    monkeypatch.setattr(ray, "shutdown", lambda: seen.append(found_settings()))
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    monkeypatch.setattr(session, "_check_reachable", lambda _: None)
    with session.ray_session(address):
        seen.append(found_settings())
    users = {"RAY_AUTH_TOKEN": "that of a cluster"}
    assert found_settings() == users
    assert [each != users for each in seen] == [own] * 3
