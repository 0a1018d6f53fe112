"""The cases that docs/reports.md lists: synthetic records in which certain rules find something, and no other rule does."""

from collections.abc import Callable
from pathlib import Path

from tests.reports.made import Record, course, done, healthy, job, judged, metrics, record, trace, write
from tests.reports.measuring import machine, steps, tensors

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


def _watched(kind: str, **layer: float) -> Callable[[Path], Path]:
    """Return a function that writes a healthy run in which one of two layers has these statistics in all recorded steps."""
    others = {"gradients": {}, "updates": {"weight_rms": 1.0}, "activations": {"share_dead": 0.1}}[kind]
    return lambda folder: write(folder, [*healthy(), *tensors(kind, 10, {"stem": layer, "top": others})])


def _growing(folder: Path) -> Path:
    columns = {
        "gpu0_percent": [95.0] * 600,
        "gpu0_memory_bytes": [4e9 + 1e7 * place for place in range(600)],
        "cpu0": [40.0] * 600,
    }
    return machine(write(folder, healthy()), columns)


def _stalled(folder: Path) -> Path:
    first, *others = healthy()
    moments = (0.0, 10.0, 4000.0)
    return write(folder, [first, *(steps("head", 1, [0.2] * 10) | {"time": 1.7e9 + one} for one in moments), *others])


def _late(folder: Path) -> Path:
    """Write a healthy run of ten minutes in which the first photos came after six minutes."""
    first, *others = healthy()
    batches = record("batches", stage="features", split="train", photos=[8], read=[0.3], move=[0], forward=[0.1])
    end = {"time": 1.7e9 + 600, "seconds": {"total": 600.0}}
    return write(folder, [first, batches | {"time": 1.7e9 + 365}, *others[:-1], others[-1] | end])


def _few_loaders(folder: Path) -> Path:
    """Write a run on a host with eight cores, where fine-tuning waits for photos because only two threads load them."""
    epochs = course(FALLING, FALLING, stage="finetune", data_wait_share=0.6)
    return write(folder, [job(cores=8, loaders=2), *epochs, *judged("test", GOOD), done()])


# The cases by name: the function that writes the folder, and our rules that must find something.
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
    "photos that are loaded by a quarter of the cores": (_few_loaders, ("DataWait", "Dataloader")),
    "long until the first photos": (_late, ("MaxInitializationTime",)),
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
    "gradients that vanish": (_watched("gradients", rms=1e-9), ("VanishingGradient",)),
    "updates larger than their weights": (_watched("updates", rms=30, weight_rms=1), ("WeightUpdateRatio",)),
    "weights that stand still": (
        _watched("updates", rms=1e-7, min=-1e-7, max=1e-7, weight_rms=1),
        ("UnchangedTensor",),
    ),
    "ReLU layers that are dead": (_watched("activations", share_dead=0.8), ("DeadRelu",)),
    "layers of zeros": (_watched("activations", share_zero=1, share_dead=1), ("AllZero", "DeadRelu")),
    "GPU memory that grows": (_growing, ("GPUMemoryIncrease",)),
    "training that stood still for an hour": (_stalled, ("StalledTraining",)),
    "photos that are nearly black": (
        lambda folder: write(
            folder, [*healthy(), record("inputs", split="train", photos=60, mean=[-2, -1.9, -1.7], std=[0.1] * 3)]
        ),
        ("CheckInputImages",),
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
