"""The shop's pages, judged by the tools that the field judges pages with: `make test-pages`."""
