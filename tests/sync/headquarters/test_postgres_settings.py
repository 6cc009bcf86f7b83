"""The settings of PostgreSQL that docs/headquarters.md advises for a city: a server takes every one."""

from __future__ import annotations

import psycopg

from tests.fakes.postgres import FOR_A_CITY, PostgresCluster


def test_a_server_takes_every_setting_advised_for_a_city() -> None:
    written = dict(_setting(line) for line in FOR_A_CITY.read_text(encoding="utf-8").splitlines() if "=" in line)
    with (
        PostgresCluster.start(FOR_A_CITY) as cluster,
        cluster.database() as url,
        psycopg.connect(url.replace("+psycopg", "")) as connection,
    ):
        refused = "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL AND name = ANY(%s)"
        faults = connection.execute(refused, (list(written),)).fetchall()
        shown = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in written}
    assert faults == []
    assert shown == {name: (value,) for name, value in written.items()}


def test_what_a_terminal_is_told_to_be_there_is_on_disk() -> None:
    text = FOR_A_CITY.read_text(encoding="utf-8")
    assert "\nfsync = on\n" in text
    assert "\nsynchronous_commit = on\n" in text


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("#")[0].partition("=")
    return name.strip(), value.strip()
