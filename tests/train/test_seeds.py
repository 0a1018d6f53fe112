"""Seeds for places in a job: computed with hashlib, and different for similar places."""

import hashlib

import torch

from train.loop.seeds import generator, seed_for, seed_torch


def test_a_seed_is_the_first_63_bits_of_a_hash_of_the_place() -> None:
    whole = int.from_bytes(hashlib.sha256(b"7/head/2/31").digest()[:8], "little")
    assert seed_for(7, "head", 2, 31) == whole // 2
    assert all(0 <= seed_for("any", number) < 2**63 for number in range(100))


def test_places_that_look_alike_have_different_seeds() -> None:
    places = [(1, 23), (12, 3), (1, 2, 3), (3, 2, 1), (123,), ("head", 1), ("head1",), ("finetune", 1)]
    assert len({seed_for(*place) for place in places}) == len(places)


def test_a_generator_draws_what_torch_draws_from_the_seed() -> None:
    expected = torch.randperm(50, generator=torch.Generator().manual_seed(seed_for(0, "head", 1)))
    assert torch.equal(torch.randperm(50, generator=generator(0, "head", 1)), expected)
    assert not torch.equal(torch.randperm(50, generator=generator(0, "head", 2)), expected)


def test_a_seeded_place_draws_what_torch_draws_after_its_own_seeding() -> None:
    torch.manual_seed(seed_for(0, "head", 1, 2))
    expected = torch.rand(5)
    seed_torch(torch.device("cpu"), 0, "head", 1, 2)
    assert torch.equal(torch.rand(5), expected)
    seed_torch(torch.device("cpu"), 0, "head", 1, 3)
    assert not torch.equal(torch.rand(5), expected)
