"""What an adapter for another framework offers."""

from multiloss.engine.protocol import Adapter, Group, Namespace, namespace

__all__ = ["Adapter", "Group", "Namespace", "namespace"]
