"""Builds the section "Photos": photos that look mislabelled, near-duplicates across splits, the most wrong and the least certain photos."""

from collections.abc import Callable

from reports.facts import Run
from reports.names import isolated
from reports.page.document import Cell, Column, Gallery, Group, Picture, Section, Table, table_of
from reports.photos.facts import Answer, Duplicates, Pair, Photos, Suspects

SUSPECTS, PAIRS = 48, 24  # at most this many photos and pairs are shown; the tables list all that the records hold
OF_A_SPLIT = 16  # at most this many photos of one split are shown as most wrong, and as many as least certain
NOT_RECORDED = (
    "The records hold no photos. Reasons: a trial of a tuning job records no photos; training was stopped before it recorded them; or an "
    "earlier version of the program ran."
)


def photos_section(run: Run | None) -> Section:
    """Return the section on single photos."""
    photos = run.photos if run else Photos()
    if photos == Photos():
        reason = "These records do not come from our training program." if run is None else NOT_RECORDED
        return Section(id="photos", title="Photos", missing=(reason,))
    galleries = [_mislabelled(photos.suspects), _duplicates(photos.duplicates), *_judged(photos.answers)]
    tables = [_suspects_table(photos.suspects), _duplicates_table(photos.duplicates)]
    return Section(
        id="photos",
        title="Photos",
        facts=tuple(_facts(photos)),
        galleries=tuple(gallery for gallery in galleries if gallery),
        tables=tuple(table for table in tables if table and table.rows),
        missing=tuple(_missing(photos)),
    )


def _facts(photos: Photos) -> list[tuple[str, str]]:
    facts = []
    if found := photos.suspects:
        facts.append(("Look mislabelled", f"{found.count:,} of {found.judged:,} photos"))
    if pairs := photos.duplicates:
        facts.append(("Near-duplicates across splits", f"{pairs.count:,} of {pairs.compared:,} pairs"))
    return facts


def _missing(photos: Photos) -> list[str]:
    said = []
    found, pairs = photos.suspects, photos.duplicates
    if found and not found.judged:
        said.append("No label was judged: at least two classes with five photos each are needed.")
    elif found and found.judged < found.of:
        said.append(
            f"The labels of {found.judged:,} of {found.of:,} photos were judged: classes with fewer than five photos are left out, "
            "and only a part of a very large data set is judged."
        )
    if pairs and _meaningless(pairs):
        said.append(
            f"{pairs.count:,} of {pairs.compared:,} pairs of photos have a cosine above {pairs.least_cosine:g}: the features of "
            "this backbone hardly distinguish photos, so no near-duplicate can be named."
        )
    return said


def _meaningless(pairs: Duplicates) -> bool:
    return pairs.count > 0 and not pairs.pairs


def _mislabelled(found: Suspects | None) -> Gallery | None:
    if not found or not found.photos:
        return None
    return Gallery(
        title="Photos that look mislabelled",
        sentence=f"For {found.count:,} of {found.judged:,} photos, heads that were trained on other photos give another class a "
        "higher probability than the label; the largest differences are first. In well-known test sets, about half of such photos are "
        "really mislabelled, so look at each photo. Training dropped no photo.",
        groups=tuple(
            Group(
                pictures=(
                    Picture(
                        photo=one.photo,
                        words=f"labelled {isolated(one.photo.label)}, looks like {isolated(one.suggestion)} "
                        f"({one.photo.split}, score {one.score:.2f})",
                    ),
                )
            )
            for one in found.photos[:SUSPECTS]
        ),
    )


def _duplicates(pairs: Duplicates | None) -> Gallery | None:
    if not pairs or not pairs.pairs:
        return None
    return Gallery(
        title="Near-duplicates across splits",
        sentence=f"The features of {pairs.count:,} pairs of photos in different splits have a cosine above "
        f"{pairs.least_cosine:g}; the most similar are first. Training has almost seen such photos, so the accuracy on them "
        "means little: keep each scene in one split.",
        groups=tuple(Group(pictures=_both(pair)) for pair in pairs.pairs[:PAIRS]),
    )


def _both(pair: Pair) -> tuple[Picture, ...]:
    alike = f"{100 * pair.cosine:.1f} % alike"
    return tuple(
        Picture(photo=photo, words=f"{photo.split}, {isolated(photo.label)} ({alike})")
        for photo in (pair.first, pair.second)
    )


def _judged(answers: tuple[Answer, ...]) -> list[Gallery | None]:
    splits = sorted({answer.photo.split for answer in answers}, key=lambda split: split != "test")
    found = []
    for split in splits:
        own = [answer for answer in answers if answer.photo.split == split]
        found.append(
            _of_reason(
                own,
                "wrong",
                f"Most wrong photos of {split}",
                "Photos that are predicted as another class, with the probability of that class; the highest probabilities are "
                "first.",
                lambda answer: -answer.probability,
            )
        )
        found.append(
            _of_reason(
                own,
                "uncertain",
                f"Least certain photos of {split}",
                "Photos with the smallest difference between the two highest probabilities; the smallest is first.",
                lambda answer: answer.margin,
            )
        )
    return found


def _of_reason(
    answers: list[Answer], reason: str, title: str, sentence: str, order: Callable[[Answer], float]
) -> Gallery | None:
    chosen = sorted((answer for answer in answers if reason in answer.reasons), key=order)[:OF_A_SPLIT]
    if not chosen:
        return None
    return Gallery(
        title=title,
        sentence=sentence,
        groups=tuple(Group(pictures=(Picture(photo=one.photo, words=words(one)),)) for one in chosen),
    )


def words(answer: Answer) -> str:
    """Return a caption with the class that the model predicts and the true class."""
    how = f"{100 * answer.probability:.0f} %"
    if answer.prediction == answer.photo.label:
        return f"{isolated(answer.photo.label)}, predicted rightly ({how})"
    return f"{isolated(answer.photo.label)}, taken for {isolated(answer.prediction)} ({how})"


def _suspects_table(found: Suspects | None) -> Table | None:
    if not found:
        return None
    columns = (
        Column(name="photo"),
        Column(name="split"),
        Column(name="label"),
        Column(name="looks like"),
        Column(name="score", form="number"),
    )
    rows: list[list[Cell]] = [
        [one.photo.path, one.photo.split, one.photo.label, one.suggestion, one.score] for one in found.photos
    ]
    return table_of("Photos that look mislabelled, as a table", columns, rows)


def _duplicates_table(pairs: Duplicates | None) -> Table | None:
    if not pairs:
        return None
    columns = (Column(name="photo"), Column(name="near-duplicate"), Column(name="cosine", form="number"))
    rows: list[list[Cell]] = [[pair.first.path, pair.second.path, pair.cosine] for pair in pairs.pairs]
    return table_of("Near-duplicates across splits, as a table", columns, rows)
