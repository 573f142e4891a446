"""One call makes everything in order, and does again only what is not there yet."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def module(tools):
    return importlib.import_module("make_embedded")


@pytest.fixture
def done(module, monkeypatch):
    """Calls, each pretended to have made what it makes."""
    calls = []

    def pretend(*together):
        for call in together:
            script, words = Path(call[1]).name, call[2:]
            out = Path(words[words.index("--out") + 1])
            calls.append((script, words))
            made = {
                "train_denoiser.py": [out],
                "lesson.py": [out / "held-out.pt"],
                "through_transport.py": [out / "through.json"],
                "distil_autoencoder.py": [out / f"{words[0]}.json"],
            }[script]
            if words[0] in ("join", "both"):
                made.append(out / "autoencoder" / "config.json")
            for path in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    monkeypatch.setattr(module, "run", pretend)
    return calls


def test_the_steps_and_their_minutes(module, done, tmp_path):
    asked = ["--photos", "photos", "--teacher", "mine:teacher", "--out", str(tmp_path), "--minutes", "100"]
    module.main([*asked, "--allow-code"])
    wanted = ["train_denoiser.py", "lesson.py", *["distil_autoencoder.py"] * 4, "lesson.py", "through_transport.py"]
    assert [script for script, _ in done] == wanted
    minutes = [float(words[words.index("--minutes") + 1]) for _, words in done if "--minutes" in words]
    encoder, decoder = minutes[1:3]
    assert encoder == decoder  # side by side
    assert sum(minutes) - decoder == pytest.approx(100)
    assert str(tmp_path / "denoiser.safetensors") in done[1][1]
    assert str(tmp_path / "own-lesson") in done[-1][1]
    before = len(done)
    module.main([*asked, "--allow-code"])
    assert len(done) == before


def test_a_stopped_step_is_resumed(module, done, tmp_path):
    (tmp_path / "denoiser.checkpoint.pt").touch()
    (tmp_path / "encoder.checkpoint.pt").touch()
    module.main(["--photos", "photos", "--teacher", "mine:teacher", "--out", str(tmp_path)])
    resumed = [words[0] for script, words in done if "--resume" in words and script == "distil_autoencoder.py"]
    assert "--resume" in done[0][1]
    assert resumed == ["encoder"]
