"""What is no review; the text is for shoppers."""


class ReviewRefused(Exception):
    pass
