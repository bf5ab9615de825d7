"""Secrets and what they seal: derived keys, the secret file, sealed lists, encryption at rest."""
