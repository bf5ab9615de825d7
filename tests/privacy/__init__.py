"""Tests of curate.privacy."""
