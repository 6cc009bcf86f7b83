"""The virtual stripe reader: what it sends, how it is unplugged, and what it says when nobody listens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.framing import FRAMINGS, FrameUnknown
from drivers.virtual import pty as virtual_pty
from drivers.virtual.card import DEMO_CARDS, CardPresenter
from drivers.virtual.pty import PortUnread, PtyPresenter

MEMBER = DEMO_CARDS["member"]


def read_from(device: str, length: int) -> bytes:
    port = os.open(device, os.O_RDWR | os.O_NOCTTY)
    try:
        return os.read(port, length)
    finally:
        os.close(port)


@pytest.mark.parametrize("frame", FRAMINGS)
def test_a_presented_card_is_one_whole_frame_on_the_line(frame: str) -> None:
    presenter = PtyPresenter(frame)
    as_presenter: CardPresenter = presenter
    as_presenter.present(MEMBER)
    as_presenter.remove()
    wrapped = FRAMINGS[frame].wrap(MEMBER.track2_text().encode())
    assert read_from(presenter.device, 1000) == wrapped == presenter.frame_of(MEMBER)
    presenter.unplug()


def test_an_unplugged_reader_has_no_device_any_more(tmp_path: Path) -> None:
    presenter = PtyPresenter(link=tmp_path / "reader")
    target = (tmp_path / "reader").readlink()
    assert target.exists()
    presenter.unplug()
    assert not target.exists()
    assert not (tmp_path / "reader").is_symlink()
    presenter.unplug()


def test_a_replugged_reader_keeps_its_path_whatever_number_the_kernel_gives_it(tmp_path: Path) -> None:
    presenter = PtyPresenter(link=tmp_path / "reader")
    first = (tmp_path / "reader").readlink()
    device = presenter.device
    presenter.unplug()
    taken = os.openpty()
    presenter.replug()
    assert presenter.device == device
    assert (tmp_path / "reader").readlink() != first
    presenter.present(MEMBER)
    assert read_from(device, 1000) == presenter.frame_of(MEMBER)
    presenter.unplug()
    for descriptor in taken:
        os.close(descriptor)


def test_presenting_where_nobody_reads_ends_in_a_typed_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_pty, "WRITE_WAIT_S", 0.3)
    presenter = PtyPresenter()
    with pytest.raises(PortUnread) as refused:
        presenter.send(b"7" * 1_000_000)  # the kernel's own buffer is far smaller
    assert presenter.device in refused.value.what_text("zh")
    presenter.unplug()


def test_an_unknown_frame_kind_is_refused() -> None:
    with pytest.raises(FrameUnknown):
        PtyPresenter("plane")
