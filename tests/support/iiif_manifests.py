"""Manifests that `iiif-prezi3` makes and validates, manifests of version 2, and what deepot lists and reads of them."""

import json

from iiif_prezi3 import Annotation, AnnotationBody, AnnotationPage, Canvas, Manifest, ServiceV3

from pipeline.config import Limits
from pipeline.errors import ImageError
from pipeline.sources import find_images, read_input
from tests.support.iiif_server import StoredImage

LIMITS = Limits(server_requests_per_s=1000)


def make_manifest(url, services, path="/manifest.json", **options):
    """A manifest of version 3 with one canvas for each list of services, made and validated by iiif-prezi3."""
    manifest = Manifest(id=f"{url}{path}", label={"de": ["Ein Buch"], "en": ["A book"]}, **options)
    for number, on_canvas in enumerate(services, 1):
        canvas = Canvas(id=f"{url}/canvas/{number}", height=800, width=1000, label={"none": [f"S. {number}"]})
        page = AnnotationPage(id=f"{url}/page/{number}", items=[])
        for index, service in enumerate(on_canvas):
            body = AnnotationBody(
                id=f"{service}/full/max/0/default.jpg",
                type="Image",
                format="image/jpeg",
                service=[ServiceV3(id=service, type="ImageService3", profile="level1")],
            )
            annotation = Annotation(
                id=f"{url}/annotation/{number}.{index}", motivation="painting", body=body, target=canvas.id
            )
            page.items.append(annotation)
        canvas.items = [page]
        manifest.add_item(canvas)
    return validated(manifest)


def validated(resource):
    document = json.loads(resource.json())
    type(resource)(**{key: value for key, value in document.items() if key != "@context"})
    return document


def make_manifest_2(iiif, identifiers, **service):
    """A manifest of version 2."""
    canvases = [
        {
            "@id": f"{iiif.url}/canvas/{number}",
            "@type": "sc:Canvas",
            "label": str(number),
            "images": [
                {
                    "@type": "oa:Annotation",
                    "motivation": "sc:painting",
                    "resource": {
                        "@id": f"{iiif.service(identifier)}/full/full/0/default.jpg",
                        "@type": "dctypes:Image",
                        "format": "image/jpeg",
                        "service": {
                            "@context": "http://iiif.io/api/image/2/context.json",
                            "@id": f"{iiif.service(identifier)}/",
                            "profile": "http://iiif.io/api/image/2/level2.json",
                        }
                        | service,
                    },
                }
            ],
        }
        for number, identifier in enumerate(identifiers, 1)
    ]
    return {
        "@context": "http://iiif.io/api/presentation/2/context.json",
        "@id": f"{iiif.url}/manifest.json",
        "@type": "sc:Manifest",
        "sequences": [{"@type": "sc:Sequence", "canvases": canvases}, {"@type": "sc:Sequence", "canvases": canvases}],
    }


def add_manifest(iiif, path, identifiers):
    for identifier in identifiers:
        iiif.images[identifier] = StoredImage()
    iiif.documents[path] = make_manifest(iiif.url, [[iiif.service(each)] for each in identifiers], path)


def listed(iiif, path="/manifest.json", options="", limits=LIMITS, **arguments):
    return list(find_images(f"iiif:{iiif.url}{path}{options}", "input", limits=limits, **arguments))


def read_all(entries):
    """Key → bytes, or the code of why it is not read."""
    found = {}
    for entry in entries:
        assert entry.key > max(found, default="")
        try:
            found[entry.key] = read_input(entry, LIMITS)
        except ImageError as error:
            found[entry.key] = error.code.value
    return found
