"""Refuses to begin where what it imports is somebody else's: else that would be an ImportError that names nobody."""

from neuron_atlas.names import require_ours

require_ours("atlas", "queries")
