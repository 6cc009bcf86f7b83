"""The vpcd wire against a driver that splits and joins messages as the network may."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from drivers.card import ReaderMissing
from drivers.virtual.card import DEMO_CARDS, CardPresenter
from drivers.virtual.chip import VirtualChip
from drivers.virtual.vpcd import VpcdCard

MEMBER = DEMO_CARDS["member"]
ATR = VirtualChip(MEMBER).atr
SELECT = bytes.fromhex("00A4040005A00000033300")


class Driver:
    """The reader driver's end of the wire."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(5)
        self.port: int = self._server.getsockname()[1]
        self._card: socket.socket | None = None

    def accept(self) -> None:
        self.drop()
        self._card, _ = self._server.accept()
        self._card.settimeout(5)

    def send(self, data: bytes) -> None:
        assert self._card is not None
        self._card.sendall(data)

    def receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2)))

    def at_end(self) -> bool:
        assert self._card is not None
        return self._card.recv(1) == b""

    def drop(self) -> None:
        if self._card is not None:
            self._card.close()

    def close(self) -> None:
        self.drop()
        self._server.close()

    def _exactly(self, count: int) -> bytes:
        assert self._card is not None
        data = b""
        while len(data) < count:
            part = self._card.recv(count - len(data))
            assert part, "the card closed"
            data += part
        return data


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture
def card(driver: Driver) -> Iterator[VpcdCard]:
    card = VpcdCard("127.0.0.1", driver.port)
    card.present(MEMBER)
    driver.accept()
    yield card
    card.remove()


def message(payload: bytes) -> bytes:
    return len(payload).to_bytes(2) + payload


@pytest.mark.usefixtures("card")
def test_orders_get_no_answer_and_atr_and_commands_do(driver: Driver) -> None:
    # all in one piece: power on, reset, ATR?, power off, on, command
    driver.send(message(b"\x01") + message(b"\x02") + message(b"\x04") + message(b"\x00") + message(b"\x01"))
    driver.send(message(SELECT))
    assert driver.receive() == ATR
    assert driver.receive().endswith(b"\x90\x00")


@pytest.mark.usefixtures("card")
def test_a_message_in_single_octets_is_put_together(driver: Driver) -> None:
    for octet in message(SELECT):
        driver.send(bytes([octet]))
    assert driver.receive().startswith(b"\x6f")


@pytest.mark.usefixtures("card")
def test_unknown_orders_are_passed_over(driver: Driver) -> None:
    driver.send(message(b"\x09") + message(b"\x04"))
    assert driver.receive() == ATR


def test_removing_closes_the_wire_and_presenting_again_opens_a_new_one(driver: Driver, card: VpcdCard) -> None:
    presenter: CardPresenter = card
    presenter.remove()
    assert driver.at_end()
    presenter.remove()
    presenter.present(DEMO_CARDS["member-2"])
    driver.accept()
    driver.send(message(b"\x04"))
    assert driver.receive() == VirtualChip(DEMO_CARDS["member-2"]).atr


def test_presenting_another_card_takes_the_first_one_off(driver: Driver, card: VpcdCard) -> None:
    card.present(DEMO_CARDS["member-2"])
    assert driver.at_end()


def test_a_card_can_be_presented_again_after_the_driver_went(driver: Driver, card: VpcdCard) -> None:
    driver.drop()
    card.present(MEMBER)
    driver.accept()
    driver.send(message(b"\x04"))
    assert driver.receive() == ATR


def test_no_driver_is_a_missing_reader() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ReaderMissing):
        VpcdCard("127.0.0.1", port).present(MEMBER)
