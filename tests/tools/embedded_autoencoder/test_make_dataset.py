"""The dataset holds what the teacher makes of the crops, in the teacher's or in a student's latents."""

import pytest
import torch

from deepot.autoencoder.loading import load_autoencoder
from tests.support.autoencoder_tools import TEACHER, run_make_dataset, run_make_student_dataset
from tools.embedded_autoencoder import make_dataset
from tools.embedded_autoencoder.dataset import Chunk, load_held_out


def test_make_dataset_chunk_holds_latents_and_images_of_the_teacher(made):
    chunk = Chunk.load(made / "dataset" / "chunk-001.pt")
    teacher = load_autoencoder(TEACHER, allow_code=True, dtype=torch.float32)
    latents = teacher.encode(chunk.crops.float() / 255)
    slope = (latents[0, 0] - latents[1, 0]).flatten() / (chunk.latents[0, 0] - chunk.latents[1, 0]).float().flatten()
    torch.testing.assert_close(slope, slope.median().expand_as(slope), rtol=0.05, atol=0.01)
    torch.testing.assert_close(chunk.images.float(), teacher.decode(latents).clamp(0, 1) * 255, rtol=0, atol=0.51)
    unmoved = chunk.strength == 0
    assert unmoved.any() and not unmoved.all()
    torch.testing.assert_close(chunk.transported_latents[unmoved], chunk.restored_latents[unmoved])
    held_out = load_held_out(made / "dataset").latents.float()
    torch.testing.assert_close(held_out.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-2)
    torch.testing.assert_close(held_out.std((0, 2, 3)), torch.ones(8), rtol=0, atol=1e-2)


def test_make_dataset_after_an_interruption_makes_only_missing_chunks(made):
    path = made / "dataset" / "chunk-001.pt"
    before, kept = Chunk.load(path), (made / "dataset" / "chunk-000.pt").stat().st_mtime_ns
    path.unlink()
    run_make_dataset(made)
    after = Chunk.load(path)
    assert (made / "dataset" / "chunk-000.pt").stat().st_mtime_ns == kept
    assert torch.equal(before.crops, after.crops)
    torch.testing.assert_close(before.transported_latents, after.transported_latents, rtol=0, atol=0.02)


def test_make_dataset_from_dataset_has_the_students_latents(made, distilled, student_dataset):
    own = Chunk.load(student_dataset / "chunk-000.pt")
    first = Chunk.load(made / "dataset" / "chunk-000.pt")
    student = load_autoencoder(str(distilled[0] / "autoencoder"), dtype=torch.float32)
    torch.testing.assert_close(own.latents.float(), student.encode(own.crops / 255), rtol=0, atol=2e-2)
    assert torch.equal(own.restored, first.restored)
    assert (own.strength == 1).all()
    assert (own.transported_latents - own.restored_latents).abs().mean() > 0.01
    unmoved = first.strength == 0
    difference = own.transported_images[unmoved].float() - first.transported_images[unmoved].float()
    assert difference.abs().mean() > 1


def test_make_dataset_from_an_empty_folder_names_the_missing_file(tmp_path):
    with pytest.raises(SystemExit, match=r"no held-out\.pt in .*: make a dataset"):
        run_make_student_dataset(tmp_path, tmp_path, tmp_path / "out")


@pytest.mark.parametrize("given", [["--photos", "p"], ["--photos", "p", "--from-dataset", "d"], ["--student", "s"]])
def test_make_dataset_with_incomplete_options_says_which_belong_together(tmp_path, capsys, given):
    with pytest.raises(SystemExit):
        make_dataset.main([*given, "--teacher", TEACHER, "--out", str(tmp_path / "out")])
    assert "either --photos and --denoiser, or --from-dataset and --student" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
