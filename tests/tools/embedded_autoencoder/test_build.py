"""One call runs all steps in order, and again only those whose results are missing."""

from pathlib import Path

import pytest

from tools.embedded_autoencoder import build


@pytest.fixture
def commands(monkeypatch):
    """The commands that were run; each is pretended to have written its results."""
    recorded = []

    def pretend(*together):
        for command in together:
            script, words = Path(command[1]).name, command[2:]
            out = Path(words[words.index("--out") + 1])
            recorded.append((script, words))
            results = {
                "train_denoiser.py": [out],
                "make_dataset.py": [out / "held-out.pt"],
                "finetune_decoder.py": [out / "finetune.json"],
                "distill.py": [out / f"{words[0]}.json"],
            }[script]
            if words[0] in ("join", "both"):
                results.append(out / "autoencoder" / "config.json")
            for path in results:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    monkeypatch.setattr(build, "run", pretend)
    return recorded


def test_build_runs_all_steps_once_and_shares_the_minutes(commands, tmp_path):
    arguments = ["--photos", "photos", "--teacher", "mine:teacher", "--out", str(tmp_path), "--minutes", "100"]
    build.main([*arguments, "--allow-code"])
    expected = ["train_denoiser.py", "make_dataset.py", *["distill.py"] * 4, "make_dataset.py", "finetune_decoder.py"]
    assert [script for script, _ in commands] == expected
    minutes = [float(words[words.index("--minutes") + 1]) for _, words in commands if "--minutes" in words]
    encoder, decoder = minutes[1:3]
    assert encoder == decoder  # side by side
    assert sum(minutes) - decoder == pytest.approx(100)
    assert str(tmp_path / "denoiser.safetensors") in commands[1][1]
    assert str(tmp_path / "student-dataset") in commands[-1][1]
    before = len(commands)
    build.main([*arguments, "--allow-code"])
    assert len(commands) == before


def test_build_after_an_interruption_resumes_from_checkpoints(commands, tmp_path):
    (tmp_path / "denoiser.checkpoint.pt").touch()
    (tmp_path / "encoder.checkpoint.pt").touch()
    build.main(["--photos", "photos", "--teacher", "mine:teacher", "--out", str(tmp_path)])
    resumed = [words[0] for script, words in commands if "--resume" in words and script == "distill.py"]
    assert "--resume" in commands[0][1]
    assert resumed == ["encoder"]


def test_build_options_are_those_of_the_scripts(commands, tmp_path, monkeypatch):
    """Every command that it runs is parsed by its script."""
    build.main(["--photos", "photos", "--teacher", "mine:teacher", "--out", str(tmp_path), "--allow-code"])
    for script, words in commands:
        module = __import__(f"tools.embedded_autoencoder.{script.removesuffix('.py')}", fromlist=["main"])
        with monkeypatch.context() as patch:
            for name in ("train", "join", "make", "make_for_student"):
                patch.setattr(module, name, lambda *_: None, raising=False)
            module.main(words)


def test_run_of_a_failing_step_stops_and_says_how_to_resume():
    with pytest.raises(SystemExit, match="the same command resumes there"):
        build.run(["python3", "-c", "raise SystemExit(3)"])
