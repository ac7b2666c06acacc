"""What a device keeps is for its owner alone, and is whole or not there."""

from pathlib import Path

import pytest

from app.walk.keeping import Drawer, NotThere
from core import p256


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path / "phone")
    drawer.write("state", {"a": 1})
    drawer.new_key("keys/one")
    assert (tmp_path / "phone").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "phone" / "state.json", tmp_path / "phone" / "keys" / "one.pem"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_on_the_disk_when_it_is_handed_out(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path)
    made = drawer.new_key("one")
    again = Drawer(tmp_path).key("one")
    assert p256.verify(made.public_key, b"x", again.sign(b"x"))


def test_what_was_forgotten_or_never_kept_is_not_there(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path)
    drawer.new_key("one")
    drawer.forget("one")
    with pytest.raises(NotThere):
        drawer.key("one")
    assert drawer.read("nothing") == {}


def test_a_document_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path)
    drawer.write("state", {"long": "x" * 1000})
    drawer.write("state", {"short": "Ü"})
    assert drawer.read("state") == {"short": "Ü"}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
