"""A hub of our own: an HTTP server on this machine that speaks the Hub's protocol to the real clients."""

from tests.hub.faults import Fault
from tests.hub.server import HubServer
from tests.hub.store import Commit, Entry, Repo

__all__ = ["Commit", "Entry", "Fault", "HubServer", "Repo"]
