"""TorchServe takes the first class of a handler's file, so this one holds no other."""

from benchmarks.peers import torchserve_handler


class Handler(torchserve_handler.Documented):
    """The image classifier as documented."""
