"""`curate report`: the public site of an archive, and the pages for its donors."""

from curate.steps.report.report_site import Report, report

__all__ = ["Report", "report"]
