"""What an account refuses; the text is for the person."""


class AddressRefused(Exception):
    pass
