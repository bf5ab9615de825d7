"""The checks of a release, as functions that steps and commands share: `release.check_release` runs them all."""
