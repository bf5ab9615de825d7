"""The maintainer's private state: layout on disk, configuration, ledger, packs, quarantine."""
