"""What a cart refuses; the text is for shoppers."""


class CartRefused(Exception):
    pass
