"""Judges photos by heads that were not fitted on their labels: the photos of each of five folds by a head fitted on the other four.

The heads are ridge regressions on labels of 0 and 1. They have a closed solution, so five of them cost less than one head that is trained
step by step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

FOLDS = 5
RIDGE = 1.0  # the ridge penalty, as a share of the features' mean variance; between 0.1 and 3 the lists of suspects hardly differ
SMALLEST = 1e-6  # the penalty if all features are equal, so that their variance is 0
FITTED = 6_000  # the heads are fitted on at most this many photos; all photos are judged


def out_of_fold(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return scores float32 [N, classes] for features float32 [N, D] and labels int64 [N].

    Each photo's scores come from a head that was fitted without the photos of its fold.
    """
    folds = _folds(labels)
    shares = labels.bincount(minlength=classes) / len(labels)
    centred = features - features.mean(0)
    # Both give the same scores. The first system has one unknown per photo, the second one per column.
    scores = _by_photos if len(labels) <= features.shape[1] else _by_columns
    return scores(centred, labels, shares, folds) + shares


def _by_photos(features: Tensor, labels: Tensor, shares: Tensor, folds: Tensor) -> Tensor:
    """Return scores less the classes' shares by systems of N equations, for centred features X: X_f X_o' (X_o X_o' + p)^-1 Y_o."""
    answers = functional.one_hot(labels, len(shares)) - shares
    products = features @ features.T
    scores = torch.empty_like(answers)
    for fold in range(FOLDS):
        own, others = (folds == fold).nonzero().flatten(), (folds != fold).nonzero().flatten()
        system = products[others][:, others]
        system.diagonal().add_(RIDGE * system.diagonal().sum() / features.shape[1] + SMALLEST)
        scores[own] = products[own][:, others] @ _solved(system, answers[others])
    return scores


def _by_columns(features: Tensor, labels: Tensor, shares: Tensor, folds: Tensor) -> Tensor:
    """Return the same scores by systems of D equations: X_f (X_o' X_o + p)^-1 X_o' Y_o. The sums over each fold are computed once."""
    fitted = torch.zeros(len(labels), dtype=torch.bool)
    fitted[torch.linspace(0, len(labels) - 1, min(FITTED, len(labels))).long()] = True
    parts = [
        _part(features[chosen], labels[chosen], shares)
        for chosen in (fitted & (folds == fold) for fold in range(FOLDS))
    ]
    scores = torch.empty(len(labels), len(shares))
    for fold in range(FOLDS):
        system, right = (_sum(one) for one in zip(*(parts[:fold] + parts[fold + 1 :]), strict=True))
        system.diagonal().add_(RIDGE * system.diagonal().mean() + SMALLEST)
        scores[folds == fold] = features[folds == fold] @ _solved(system, right)
    return scores


def _part(features: Tensor, labels: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return X'X [D, D] and X'Y [D, classes] of some photos; Y is 1 for a photo's class and 0 else, less the classes' shares."""
    by_class = torch.zeros(len(shares), features.shape[1]).index_add_(0, labels, features)
    return features.T @ features, by_class.T - features.sum(0)[:, None] * shares


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    whole = tensors[0].clone()
    for tensor in tensors[1:]:
        whole += tensor
    return whole


def _solved(system: Tensor, right: Tensor) -> Tensor:
    """Return the solution of a system of equations that is symmetric and positive definite."""
    return torch.cholesky_solve(right, torch.linalg.cholesky(system))


def _folds(labels: Tensor) -> Tensor:
    """Return each photo's fold, int64 [N]. Folds are drawn at random, with the photos of each class spread evenly over them."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    order = order[labels[order].argsort(stable=True)]
    folds = torch.empty_like(labels)
    folds[order] = torch.arange(len(labels)) % FOLDS
    return folds
