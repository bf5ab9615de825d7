"""The maintainer's private state: the repository on disk, its configuration, ledger, packs and quarantine."""
