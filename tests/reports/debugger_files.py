"""Event files as smdebug writes them, made with TensorBoard's own messages and records."""

import struct
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto
from tensorboardX.record_writer import RecordWriter

from reports.sources.smdebug_events import masked_crc

TRAIN, EVAL = 1, 2
LOSS, GRADIENT = "CrossEntropyLoss_output_0", "gradient/fc.weight"


def tensors(folder: Path, steps: Mapping[int, tuple[int, float]], gradient: tuple[float, ...] = (1.0, 0.0)) -> Path:
    """Write a file for each step, with the given loss and mode, and for a training step also a gradient. Return the folder."""
    for step, (mode, loss) in steps.items():
        path = event_file(folder, step)
        path.parent.mkdir(parents=True)
        writer = RecordWriter(str(path))
        writer.write(event(LOSS, (loss,), mode, step))
        if mode == TRAIN:
            writer.write(event(GRADIENT, gradient, mode, step))
        writer.close()
    return folder


def event_file(folder: Path, step: int) -> Path:
    return folder / "debug-output" / "events" / f"{step:012d}" / f"{step:012d}_worker_0.tfevents"


def event(name: str, values: tuple[float, ...], mode: int, step: int) -> bytes:
    """Return an event. Its metadata lists two plugins, where TensorBoard's message has room for one."""
    tensor = TensorProto(dtype=1, tensor_content=struct.pack(f"<{len(values)}f", *values))
    held = {"mode_step": step, "mode": mode}
    plugins = [SummaryMetadata.PluginData(plugin_name=key, content=str(of).encode()) for key, of in held.items()]
    metadata = b"".join(SummaryMetadata(plugin_data=plugin).SerializeToString() for plugin in plugins)
    value = Summary.Value(tag=name, tensor=tensor).SerializeToString() + _inside(9, metadata)
    return Event(wall_time=1.5, step=step).SerializeToString() + _inside(5, _inside(1, value))


def framed(content: bytes) -> bytes:
    """Return data as one record with correct checksums."""
    head = len(content).to_bytes(8, "little")
    return head + masked_crc(head).to_bytes(4, "little") + content + masked_crc(content).to_bytes(4, "little")


def _inside(field: int, content: bytes) -> bytes:
    """Return a message as a field of another message. Its length is a number of up to 14 bits."""
    length = len(content)
    return bytes([field << 3 | 2, length & 0x7F | 0x80, length >> 7]) + content
