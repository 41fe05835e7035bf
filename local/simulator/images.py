"""Images, the system's among them."""

from typing import Any

from flask import Blueprint, g

from local.simulator.catalog import SYSTEM_IMAGES
from local.simulator.errors import ApiError, invalid_input, not_found
from local.simulator.labels import parse_labels, parse_selector
from local.simulator.model import Image
from local.simulator.params import PAGING, Query, read_body
from local.simulator.project import Project
from local.simulator.server_lifecycle import fail, running_creates

blueprint = Blueprint("images", __name__)

FILTERS = {"type", "status", "name", "label_selector", "architecture", "bound_to"}
TYPES = ("system", "app", "snapshot", "backup")
STATUSES = ("available", "creating", "unavailable")


@blueprint.get("/images")
def list_images() -> dict[str, Any]:
    project: Project = g.project
    query = Query({*FILTERS, "include_deprecated", "sort", *PAGING})
    now = project.world.clock.now()
    images = [
        image
        for image in (*SYSTEM_IMAGES.values(), *project.images.values())
        if image.visible_at is None or image.visible_at <= now
    ]
    query.one("include_deprecated", ("true", "false"))  # No image here is deprecated.
    if (types := query.many("type", TYPES)) is not None:
        images = [image for image in images if image.type in types]
    if (statuses := query.many("status", STATUSES)) is not None:
        images = [image for image in images if image.status in statuses]
    if (architectures := query.many("architecture", ("x86", "arm"))) is not None:
        images = [image for image in images if image.architecture in architectures]
    if (servers := query.ids("bound_to")) is not None:
        images = [image for image in images if image.bound_to in servers]
    if (name := query.one("name")) is not None:
        images = [image for image in images if image.name == name]
    if (selector := query.one("label_selector")) is not None:
        selects = parse_selector(selector)
        images = [image for image in images if selects(image.labels)]
    images = query.sort(images, ("id", "name", "created"))
    return query.page("images", images, Image.to_json)


@blueprint.get("/images/<int:image_id>")
def get_image(image_id: int) -> dict[str, Any]:
    Query()
    image = g.project.images.get(image_id) or SYSTEM_IMAGES.get(image_id)
    if image is None:
        raise not_found("image", image_id)
    return {"image": image.to_json()}


@blueprint.put("/images/<int:image_id>")
def update_image(image_id: int) -> dict[str, Any]:
    """New labels replace all the old ones."""
    Query()
    image = _own_image(image_id)
    body = read_body({"description": str, "type": str, "labels": dict}, required=True)
    if body.get("type", "snapshot") != "snapshot":
        raise invalid_input("type", "must be snapshot")
    if "labels" in body:
        image.labels = parse_labels(body["labels"])
    image.description = body.get("description", image.description)
    image.type = body.get("type", image.type)
    return {"image": image.to_json()}


@blueprint.delete("/images/<int:image_id>")
def delete_image(image_id: int) -> tuple[str, int]:
    Query()
    image = _own_image(image_id)
    if image.protected:
        raise ApiError("protected", "image deletion is protected")
    if image.status == "creating":
        # Hetzner does not document this case; a client must not depend on it.
        raise ApiError("locked", "cannot perform operation because image is locked")
    project: Project = g.project
    used = running_creates(project, image)
    if used and project.world.image_deleted_in_create == "delete_refused":
        raise ApiError("locked", "cannot perform operation because image is locked")
    if project.world.image_deleted_in_create == "create_fails":
        fail(project, used)
    del project.images[image_id]
    return "", 204


@blueprint.post("/images/<int:image_id>/actions/change_protection")
def change_protection(image_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    image = _own_image(image_id)
    image.protected = read_body({"delete": bool}, required=True).get("delete", image.protected)
    action = project.start_action(0, "change_protection", 0, locks=False)
    action.image_id = image.id
    return {"action": action.to_json()}, 201


def _own_image(image_id: int) -> Image:
    project: Project = g.project
    if image_id in SYSTEM_IMAGES:
        raise ApiError("forbidden", "system images cannot be changed")
    try:
        return project.images[image_id]
    except KeyError:
        raise not_found("image", image_id) from None
