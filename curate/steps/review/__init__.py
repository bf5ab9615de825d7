"""`curate review`: what a reviewer looks at before signing, as a static site."""

from curate.steps.review.review_site import Review, review

__all__ = ["Review", "review"]
