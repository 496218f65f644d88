"""A long campaign goes on where it stopped."""

import json

from . import shards


def test_shards_of_several_machines_are_all_shards():
    parts = [shards.chosen(1_000_000, 20_000, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(n for part in parts for n in part) == list(range(50))


def test_a_shard_that_was_counted_is_not_run_again(tmp_path, monkeypatch):
    ran = []

    def campaign(isas: list[str], first: int, valid: int, calls: int, processes: int) -> int:
        ran.append(first)
        return int(first == 1 + 2 * shards.SEEDS)

    monkeypatch.setattr(shards, "KEPT", tmp_path)
    monkeypatch.setattr(shards.fuzz, "campaign", campaign)
    monkeypatch.setattr(shards, "count_of", lambda jobs: {"calls": 5, "valid": 4, "ops": 3})
    assert shards.run_shard(["scalar"], 1, 5, 1) == shards.run_shard(["scalar"], 1, 5, 1) == tmp_path / "1.json"
    assert json.loads((tmp_path / "1.json").read_text())["calls"] == 5
    assert shards.run_shard(["scalar"], 2, 5, 1) is None and len(ran) == 2 and len(set(ran)) == 2
