"""One module a check of a release, named as `--json` names it; `verify.release.check_release` says the order."""
