"""Values that have broken environment files before: what is written must be read back to the letter."""

NASTY = {
    "PLAIN": "plain",
    "EMPTY": "",
    "DOUBLE_QUOTES": 'a"b""',
    "SINGLE_QUOTES": "it's ''",
    "DOLLARS": "$HOME ${HOME} $$ $(id)",
    "BACKTICKS": "`id`",
    "BACKSLASHES": 'back\\slash \\n \\" \\\\',
    "LAST_BACKSLASH": "ends in \\",
    "SPACES": "  before and behind  ",
    "COMMENTS": "# hash ; semicolon",
    "EQUALS": "a=b=c",
    "PERCENTS": "%n %i %%",
    "GLOBS": "!hist * ? [a] ~ {a,b} < > | &",
    "PERSIAN": "پاسارگاد",
    "ODD_SPACES": "a\u00a0b\u2028c",
    "EMOJI": "🏺",
    "LONG": "x" * 5000,
}
