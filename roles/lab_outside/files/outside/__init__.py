"""The world outside the store, for the lab: payment provider, mail sink, webhook sink, S3 and a page that shows it."""
