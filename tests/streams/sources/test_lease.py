"""Freed exactly once, whoever comes last."""

from __future__ import annotations

from streams.sources.lease import Lease


def leased() -> tuple[Lease, list[str]]:
    freed: list[str] = []
    return Lease(lambda: freed.append("freed")), freed


def test_given_up_before_it_is_used() -> None:
    lease, freed = leased()
    lease.give_up()
    assert freed == ["freed"]
    assert not lease.begin()
    lease.give_up()
    assert freed == ["freed"]


def test_given_up_while_it_is_used() -> None:
    lease, freed = leased()
    assert lease.begin()
    lease.give_up()
    assert freed == []
    lease.end()
    lease.give_up()
    assert freed == ["freed"]
