"""Draws the trials of a search."""

from reports.facts import Run
from reports.page.document import Cell, Chart, Column, Line, table_of
from reports.page.numbers import plain, plain_all, share

MOST_TRIALS = 300  # the chart has at most this many lines
ROWS = 1_000  # the table has at most this many rows


def trials_chart(run: Run) -> Chart | None:
    """Return a chart of the trials of a search or a tuning run in parallel coordinates; None without trials."""
    trials, best = run.trials, run.best_trial
    if not trials:
        return None
    names = [name for name in dict.fromkeys(name for trial in trials for name in trial.hyperparameters)]
    done = [trial for trial in trials if trial.accuracy is not None]
    axes = [name for name in names if any(isinstance(trial.hyperparameters.get(name), int | float) for trial in done)]
    ordered = sorted(done, key=lambda trial: -(trial.accuracy or 0))[:MOST_TRIALS]
    failed = len(trials) - len(done)
    sentence = f"{len(trials)} trials" + (f", of which {failed} failed" if failed else "")
    if best:
        settings = ", ".join(f"{name} {_short(best.hyperparameters.get(name))}" for name in names)
        sentence += (
            f"; the best is trial {best.number} with {settings}: {share(best.accuracy or 0, None)} on validation"
        )
    return Chart(
        id="trials",
        kind="parallel",
        title="Trials",
        sentence=f"{sentence}. Each line is a trial.",
        x=(*axes, "validation accuracy, %"),
        lines=tuple(
            Line(
                name=f"trial {trial.number}",
                values=(
                    *plain_all([_number(trial.hyperparameters.get(name)) for name in axes]),
                    plain(None if trial.accuracy is None else 100 * trial.accuracy),
                ),
            )
            for trial in ordered
        ),
        table=table_of(
            "Trials",
            (
                Column(name="trial", form="number"),
                *(Column(name=name, form="number") for name in names),
                Column(name="accuracy", form="percent"),
                Column(name="loss", form="number"),
                Column(name="time", form="seconds"),
                Column(name="failure"),
            ),
            [
                [
                    trial.number,
                    *(_cell(trial.hyperparameters.get(name)) for name in names),
                    trial.accuracy,
                    trial.loss,
                    trial.seconds,
                    trial.reason,
                ]
                for trial in trials[:ROWS]
            ],
        ),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _cell(value: object) -> Cell:
    return value if isinstance(value, int | float | str) else None


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
