"""The choice of a model's notable answers: its surest mistakes, its closest decisions, and its most confused pairs."""

import torch

from train.report.photos.answers import OF_A_PAIR, PAIRS, UNCERTAIN, WRONG, notable


def test_the_surest_mistake_and_the_closest_decision_are_chosen_with_their_reasons() -> None:
    probabilities = torch.tensor(
        [[0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [0.45, 0.44, 0.11], [0.1, 0.6, 0.3], *[[0.98, 0.01, 0.01]] * UNCERTAIN]
    )
    labels = torch.tensor([0, 0, 0, 2, *[0] * UNCERTAIN])
    answers = notable(probabilities.log(), labels)
    mistakes = [answer for answer in answers if "wrong" in answer.reasons]
    assert [(answer.place, answer.prediction) for answer in mistakes] == [(1, 2), (3, 1)]
    assert mistakes[0].probability == torch.tensor(0.9) and "confused" in mistakes[0].reasons
    (closest,) = (answer for answer in answers if answer.place == 2)
    assert closest.reasons == ("uncertain",) and abs(closest.margin - 0.01) < 1e-6
    assert sum("uncertain" in answer.reasons for answer in answers) == UNCERTAIN
    assert len({answer.place for answer in answers}) == len(answers)


def test_a_few_photos_of_the_pairs_that_are_confused_most_are_chosen() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 12, (900,), generator=random)
    logits = torch.randn(900, 12, generator=random)
    confused = labels == 4
    logits[confused, 9] = 8 + torch.rand(int(confused.sum()), generator=random)  # class 4 is always predicted as 9
    answers = notable(logits, labels)
    chosen = [(int(labels[one.place]), one.prediction) for one in answers if "confused" in one.reasons]
    assert chosen[:OF_A_PAIR] == [(4, 9)] * OF_A_PAIR and len(set(chosen)) == PAIRS
    assert sum("wrong" in answer.reasons for answer in answers) == WRONG
    assert len(answers) <= WRONG + UNCERTAIN + PAIRS * OF_A_PAIR


def test_a_model_that_is_always_right_has_no_mistakes_to_show() -> None:
    labels = torch.arange(2).repeat(3)
    answers = notable(5 * torch.nn.functional.one_hot(labels).float(), labels)
    assert answers and all(answer.reasons == ("uncertain",) for answer in answers)
