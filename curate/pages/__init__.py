"""Static sites for people: what a reviewer sees before signing, what the public sees, what a donor can understand."""
