"""Ports of this machine for servers and processes that a test starts."""

from launch.ports import free_port

__all__ = ["free_port"]
