"""Options of the text app."""

from jobroom.conf import AppSettings


class TextSettings(AppSettings):
    """Options of the work on texts."""

    prefix = "TEXT"

    # Largest file of messages that is read, in bytes; most messages in it; longest message, in characters.
    MAX_BYTES: int = 50 * 2**20
    MAX_MESSAGES: int = 200_000
    MAX_CHARACTERS: int = 20_000
    # So many different messages of each kind must a training file have.
    LEAST_EXAMPLES: int = 20
    # A new version is promoted by itself when its F1 is above that of the promoted one by so much.
    PROMOTE_MARGIN: float = 0.005
    # File on the workers' machine from which "Retrain spam detector" learns; empty: there is nothing to learn from.
    TRAINING_FILE: str = ""
    # Seconds for which the answer to the same message, or the same file, is kept; 0 keeps none.
    ANSWERS_KEPT: int = 7 * 24 * 3600


settings = TextSettings()
