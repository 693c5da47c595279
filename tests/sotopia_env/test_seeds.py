"""Seeds are a promise: whoever gives the same numbers later gets the same episodes."""

from __future__ import annotations

from sotopia_env import seeds


def test_every_derivation_gives_the_numbers_it_has_always_given() -> None:
    assert seeds.seed_of(3, 17) == seeds.episode_seed(3, 17) == 2963875794002553787
    assert seeds.seeds_of(3, 1, 2, 3, 0, 4) == [4905430086858394450, 7447887177418658381, 7923230546571899590]
    assert seeds.seed_of_key("4-task-agent_0") == 64274550821607531
    assert seeds.seed_of_name("bargain:00ff") == 2087630507
    assert seeds.seed_of_text("a \ud800 word") == 2029785015118637546
    assert seeds.process_seed(5, 6, 0) == 1827940263
    assert seeds.turn_generator(9, 1, 4).integers(2**31, size=2).tolist() == [429120725, 1053039587]
    assert seeds.generator_of(9, 1, 4).integers(2**31, size=2).tolist() == [429120725, 1053039587]
    assert seeds.episode_key(3, 17) == "3-17"
