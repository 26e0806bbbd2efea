"""What Python programs do with glanceclient.v1.Client, checked against a server.

Takes the server's URL; prints "all is well" at its end, or fails.
"""

import hashlib
import io
import os
import sys

from glanceclient import exc
from glanceclient.v1 import client

FORMATS = {"disk_format": "raw", "container_format": "bare"}


class Pipe:
    """A file of unknown length: the client has to send it in chunks."""

    def __init__(self, data):
        self.file = io.BytesIO(data)

    def read(self, size=-1):
        return self.file.read(size)


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError("no %s" % error.__name__)


def uploads(images):
    data = os.urandom(2_000_000)
    digest = hashlib.md5(data).hexdigest()
    with open("image", "wb") as file:
        file.write(data)
    for source in (open("image", "rb"), Pipe(data), io.BytesIO(data)):
        image = images.create(name="Bücher 10", data=source, is_public=True, **FORMATS)
        assert image.status == "active", image
        assert image.checksum == digest, image
        assert image.size == len(data), image
        assert image.name == "Bücher 10", image
        assert b"".join(images.data(image.id)) == data
        assert len(images.data(image.id)) == len(data)
        image.delete()
    refused(exc.HTTPBadRequest, images.create, data=Pipe(data), checksum="0" * 32, **FORMATS)
    empty = images.create(data=Pipe(b""), **FORMATS)
    assert (empty.status, empty.size) == ("active", 0), empty
    empty.delete()


def properties(images):
    image = images.create(name="p", properties={"a": "1", "b": "zwei Wörter"}, is_public=None)
    assert image.properties == {"a": "1", "b": "zwei Wörter"}, image
    assert image.is_public is False, image
    image = images.update(image.id, properties={"c": "3"})
    assert image.properties == {"a": "1", "b": "zwei Wörter", "c": "3"}, image
    image = images.update(image.id, properties={"d": "4"}, purge_props=True)
    assert image.properties == {"d": "4"}, image
    assert images.get(image.id).properties == {"d": "4"}
    image.delete()


def lists(images):
    made = []
    for number in range(45):
        image = images.create(
            name="list %02d" % number,
            size=number + 1,
            is_public=number % 3 != 0,
            properties={"parity": str(number % 2)},
            **FORMATS
        )
        made.append(image.id)
    everything = list(images.list(filters={"is_public": None}))
    assert {image.id for image in everything} == set(made), len(everything)
    assert len(everything) == 45
    public = list(images.list())
    assert len(public) == 30, len(public)
    private = list(images.list(is_public=False))
    assert len(private) == 15, len(private)
    by_name = list(images.list(sort_key="name", sort_dir="asc", is_public=None, page_size=7))
    assert [image.id for image in by_name] == made
    odd = list(images.list(filters={"is_public": None, "properties": {"parity": "1"}}))
    assert len(odd) == 22, len(odd)
    named = list(images.list(filters={"name": "list 07", "is_public": None}))
    assert [image.id for image in named] == [made[7]]
    large = list(images.list(filters={"size_min": 40, "size_max": 41, "is_public": None}))
    assert sorted(image.size for image in large) == [40, 41]
    limited = list(images.list(limit=25, is_public=None))
    assert len(limited) == 25
    after = list(images.list(marker=made[30], sort_key="name", sort_dir="asc", is_public=None))
    assert [image.id for image in after] == made[31:]
    for image in made:
        images.delete(image)


def members(glance):
    image = glance.images.create(name="shared", **FORMATS)
    glance.image_members.create(image.id, "tenant-a", can_share=True)
    glance.image_members.create(image.id, "tenant-b")
    found = glance.image_members.list(image=image.id)
    assert {m.member_id: m.can_share for m in found} == {"tenant-a": True, "tenant-b": False}
    shared = glance.image_members.list(member="tenant-a")
    assert [m.image_id for m in shared] == [image.id]
    glance.image_members.delete(image.id, "tenant-a")
    assert [m.member_id for m in glance.image_members.list(image=image.id)] == ["tenant-b"]
    image.delete()


def errors(images):
    refused(exc.HTTPNotFound, images.get, "71c675ab-d94f-49cd-a114-e12490b328d9")
    refused(exc.HTTPBadRequest, images.create, disk_format="nonsense")
    image = images.create(name="protected", protected=True)
    refused(exc.HTTPConflict, images.create, id=image.id)
    refused(exc.HTTPForbidden, images.delete, image.id)
    images.update(image.id, protected=False)
    images.delete(image.id)
    refused(exc.HTTPNotFound, images.delete, image.id)


def main():
    glance = client.Client(sys.argv[1], token="x")
    uploads(glance.images)
    properties(glance.images)
    lists(glance.images)
    members(glance)
    errors(glance.images)
    print("all is well")


if __name__ == "__main__":
    main()
