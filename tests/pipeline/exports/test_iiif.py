"""IIIF exports: manifests that the reference implementation's models accept, and tiles that cover their images."""

import io
import json
import random
from urllib.parse import unquote

import pytest
from PIL import Image

from jobs.cli import main
from pipeline.errors import ConfigError
from pipeline.exports import ExportOptions, IiifOptions, export_iiif, iiif
from pipeline.exports.iiif_tiles import TILE_SIDE, ImageService, describe_service, iter_service_files
from pipeline.progress import NullProgress
from pipeline.storage import join_uri, read
from tests.pipeline.provenance.conftest import write_run
from tests.support.export_runs import add_export_row, make_export_run
from tests.support.json_commands import run_json_command

prezi3 = pytest.importorskip("iiif_prezi3", reason="iiif-prezi3 is not installed, which validates manifests")
BASE = "https://iiif.example.org/box 1".replace(" ", "%20")


def make_photos(name, image_format, source):
    """An input and a result of twice its size, of one to three pages if it is a TIFF."""
    width, height = source.randrange(8, 30), source.randrange(8, 30)
    count = source.randrange(1, 4) if image_format == "TIFF" else 1
    return tuple(encode([(width * scale, height * scale)] * count, image_format, scale) for scale in (1, 2))


def encode(sizes, image_format, value):
    pages = [Image.new("RGB", size, (value * 40, number, 90)) for number, size in enumerate(sizes)]
    with io.BytesIO() as file:
        extra = {"save_all": True, "append_images": pages[1:]} if image_format == "TIFF" else {}
        pages[0].save(file, image_format, **extra)
        return file.getvalue()


def export(run, folder, **options):
    return export_iiif(run, ExportOptions(str(folder)), IiifOptions(BASE, "Box", **options), NullProgress())


def fetch(folder, url):
    """What a web server that serves the folder would hand out."""
    assert url.startswith(f"{BASE}/") and url.isascii()
    return (folder / unquote(url.removeprefix(f"{BASE}/"))).read_bytes()


def check_collection(tmp_path, seed):
    run, rows = make_export_run(tmp_path, seed, make_photos)
    done = export(
        run, tmp_path / "iiif", rights="http://rightsstatements.org/vocab/InC/1.0/", attribution="©", language="de"
    )
    collection = json.loads(fetch(tmp_path / "iiif", f"{BASE}/collection.json"))
    assert prezi3.Collection(**collection).type == "Collection"
    results = {row["file_name"]: row for row in rows if row["output_uri"]}
    assert len(collection["items"]) == done.photos == len(results) and done.n_skipped == len(rows) - len(results)
    ids = set()
    for item in collection["items"]:
        manifest = json.loads(fetch(tmp_path / "iiif", item["id"]))
        prezi3.Manifest(**manifest)
        check_manifest(tmp_path / "iiif", manifest, results.pop(manifest["label"]["none"][0]), ids)


def check_manifest(folder, manifest, row, ids):
    assert manifest["requiredStatement"]["value"] == {"de": ["©"]} and manifest["rights"].endswith("InC/1.0/")
    with (
        Image.open(io.BytesIO(read(row["output_uri"]))) as result,
        Image.open(io.BytesIO(read(row["input_uri"]))) as source,
    ):
        assert len(manifest["items"]) == getattr(result, "n_frames", 1)
        sizes = [result.size, source.size]
    for canvas in manifest["items"]:
        ((page,),) = (canvas["items"],)
        (annotation,) = page["items"]
        new = [canvas["id"], page["id"], annotation["id"]]
        assert not ids & set(new) and annotation["target"] == canvas["id"]
        ids.update(new)
        assert (canvas["width"], canvas["height"]) == sizes[0]
        body = annotation["body"]
        images = body["items"] if body["type"] == "Choice" else [body]
        assert (body["type"] == "Choice") == (row["status"] == "ok")
        for image, size in zip(images, sizes, strict=False):
            assert (image["width"], image["height"]) == size
            with Image.open(io.BytesIO(fetch(folder, image["id"]))) as shown:
                assert shown.size == size
            info = json.loads(fetch(folder, f"{image['service'][0]['id']}/info.json"))
            assert info["id"] == image["service"][0]["id"] and (info["width"], info["height"]) == size


@pytest.mark.parametrize("seed", range(8))
def test_export_iiif_of_generated_runs_is_valid(tmp_path, seed):
    check_collection(tmp_path, seed)


@pytest.mark.soak
def test_export_iiif_of_200_generated_runs_is_valid(tmp_path):
    for seed in range(100, 300):
        check_collection(tmp_path / str(seed), seed)


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 40), (1300, 1100)])
def test_iter_service_files_has_every_tile_that_viewers_ask_for(size):
    """The requests are those of OpenSeadragon's IIIFTileSource for version 3."""
    files = dict(iter_service_files(Image.new("RGB", size), "https://example.org/a"))
    info = json.loads(files["info.json"])
    assert info == describe_service(ImageService("https://example.org/a", *size))
    for factor in info["tiles"][0]["scaleFactors"]:
        level = [-(-side // factor) for side in size]
        columns, rows = (-(-side // TILE_SIDE) for side in level)
        for x, y in ((x, y) for x in range(columns) for y in range(rows)):
            shape = [min(TILE_SIDE, side - index * TILE_SIDE) for side, index in zip(level, (x, y), strict=True)]
            corner = [index * TILE_SIDE * factor for index in (x, y)]
            region = [min(TILE_SIDE * factor, side - start) for side, start in zip(size, corner, strict=True)]
            is_full = region == list(size)
            name = "full" if is_full else ",".join(map(str, corner + region))
            shown = "max" if is_full and factor == 1 else ",".join(map(str, shape))
            with Image.open(io.BytesIO(files[f"{name}/{shown}/0/default.jpg"])) as tile:
                assert tile.size == tuple(shape)


def test_export_iiif_turns_photos_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with io.BytesIO() as file:
        Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
        data = file.getvalue()
    row = add_export_row(tmp_path, 0, "a.jpg", random.Random(1), 0, "rejected", lambda *_: (data, data))
    export(write_run(tmp_path, [[row]]), tmp_path / "iiif")
    (canvas,) = json.loads((tmp_path / "iiif/a.jpg/manifest.json").read_bytes())["items"]
    assert (canvas["width"], canvas["height"]) == (20, 40)


def test_export_iiif_splits_large_collections(tmp_path, monkeypatch):
    monkeypatch.setattr(iiif, "MAX_ITEMS", 2)
    source = random.Random(1)
    rows = [
        add_export_row(tmp_path, number, f"{number}.jpg", source, 0, "rejected", make_photos) for number in range(5)
    ]
    export(write_run(tmp_path, [rows]), tmp_path / "iiif")
    collection = json.loads((tmp_path / "iiif/collection.json").read_bytes())
    parts = [json.loads(fetch(tmp_path / "iiif", item["id"])) for item in collection["items"]]
    assert [len(part["items"]) for part in parts] == [2, 2, 1]
    assert all(prezi3.Collection(**part) for part in [collection, *parts])


def test_export_iiif_leaves_out_photos_that_cannot_be_decoded(tmp_path):
    row = add_export_row(tmp_path, 0, "a.jpg", random.Random(1), 0, "ok")
    done = export(write_run(tmp_path, [[row]]), tmp_path / "iiif")
    assert done.photos == 0 and done.skipped[0][0] == "a.jpg"
    assert "a.jpg,ok," in (tmp_path / "iiif/not-exported.csv").read_text()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base_url": "iiif.example.org"}, "--iiif 'iiif.example.org' is no URL"),
        ({"base_url": "https://example.org/?a"}, "has a query or fragment"),
        ({"rights": "CC0"}, "--rights 'CC0' is no URL"),
        ({"language": "no language"}, "is no language tag"),
    ],
)
def test_iiif_options_refuse_what_no_manifest_may_state(values, message):
    with pytest.raises(ConfigError, match=message):
        IiifOptions(**({"base_url": BASE, "label": "Box"} | values))


def test_export_command_writes_manifests(tmp_path, capsys):
    row = add_export_row(tmp_path, 0, "a.jpg", random.Random(1), 0, "ok", make_photos)
    run = write_run(tmp_path, [[row]])
    folder = str(tmp_path / "iiif")
    status, printed = run_json_command(capsys, "export", run.uri, "--iiif", BASE, "--to", folder, "--label", "Box")
    assert (status, printed["written"]) == (0, 1)
    assert json.loads(read(join_uri(folder, "collection.json")))["label"] == {"none": ["Box"]}
    assert main(["export", run.uri, "--iiif", BASE]) == 2
    assert "--iiif and --to belong together" in capsys.readouterr().err
