"""Views: read the request, ask selectors or services, hand values to a template."""
