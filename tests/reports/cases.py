"""Cases that docs/reports.md lists: records that were made so that certain rules find something, and no others."""

from pathlib import Path

from tests.reports.made import Record, course, done, healthy, job, judged, metrics, trace, write

GOOD = [[38, 1, 1], [1, 38, 1], [1, 0, 39]]
FALLING = [2.0, 1.0, 0.6, 0.4, 0.3, 0.25, 0.22, 0.2, 0.18, 0.16]
BUSY, CALM = [95] * 600, [40] * 600


def run(*epochs: Record, matrix: list[list[int]] | None = None) -> list[Record]:
    return [job(), *epochs, *judged("test", matrix or GOOD), done()]


def _overfit(folder: Path) -> Path:
    validation = [2.1, 1.2, 0.8, 0.7, 0.68, 0.69, 0.72, 0.76, 0.8, 0.85]
    rising = [0.5, 0.6, 0.7, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77, 0.78]
    epochs = course(FALLING, validation)
    return write(
        folder, run(*[one | {"validation_accuracy": value} for one, value in zip(epochs, rising, strict=True)])
    )


def _unequal(folder: Path) -> Path:
    metrics(folder, [98] * 600, CALM, node="algo-1")
    return metrics(folder, [72] * 600, CALM, node="algo-2")


def _oscillating(folder: Path) -> Path:
    losses = [2.0, 1.2, 1.9, 2.6, 2.9, 3.4]
    return write(folder, run(*course(losses, [loss + 0.1 for loss in losses], validation_accuracy=0.3)))


def _not_a_number(folder: Path) -> Path:
    first, *others = course(FALLING, FALLING)
    return write(folder, run(first | {"step_losses": [2.0, 1.9, None, 1.4]}, *others))


# Name -> what makes its folder, and the rules of ours that must find something.
CASES = {
    "healthy run": (lambda folder: write(folder, healthy()), ()),
    "learning rate far too high": (_oscillating, ("LossNotDecreasing",)),
    "learning rate far too low": (
        lambda folder: write(
            folder, run(*course([2.0 - 0.001 * n for n in range(6)], [2.1 - 0.001 * n for n in range(6)]))
        ),
        ("LossNotDecreasing",),
    ),
    "training that goes on for nothing": (
        lambda folder: write(
            folder, run(*course([2.0, 1.0, *[0.6] * 8], [2.1, 1.1, *[0.7] * 8], validation_accuracy=0.8))
        ),
        ("Overtraining",),
    ),
    "overfit": (_overfit, ("Overfit",)),
    "loss that is not a number": (_not_a_number, ("ExplodingTensor",)),
    "slow photo reading": (
        lambda folder: write(folder, run(*course(FALLING, FALLING, data_wait_share=0.7))),
        ("DataWait",),
    ),
    "GPU starved by the processor": (
        lambda folder: metrics(folder, [3] * 600, [97] * 600),
        ("LowGPUUtilization", "CPUBottleneck", "BatchSize"),
    ),
    "GPU starved by the disk": (
        lambda folder: metrics(folder, [3] * 600, CALM, io=85),
        ("LowGPUUtilization", "IOBottleneck", "BatchSize"),
    ),
    "busy GPU": (lambda folder: metrics(folder, BUSY, CALM), ()),
    "two hosts of unequal speed": (_unequal, ("LoadBalancing",)),
    "steps that stall": (lambda folder: trace(folder, [0.1] * 400 + [4.0] * 8), ("StepOutlier",)),
    "imbalanced classes": (
        lambda folder: write(folder, run(*course(FALLING, FALLING), matrix=[[190, 10, 0], [9, 190, 1], [0, 1, 9]])),
        ("ClassImbalance",),
    ),
    "two classes that look alike": (
        lambda folder: write(folder, run(*course(FALLING, FALLING), matrix=[[22, 18, 0], [19, 21, 0], [0, 0, 40]])),
        ("Confusion",),
    ),
}
RULES_SHOWN = sorted({rule for _, rules in CASES.values() for rule in rules})


def table() -> str:
    """Return the table of docs/reports.md."""
    head = f"| made records | {' | '.join(RULES_SHOWN)} |\n| {' | '.join(['---'] * (1 + len(RULES_SHOWN)))} |"
    rows = [
        f"| {name} | {' | '.join('x' if rule in rules else '' for rule in RULES_SHOWN)} |"
        for name, (_, rules) in CASES.items()
    ]
    return "\n".join([head, *rows])
