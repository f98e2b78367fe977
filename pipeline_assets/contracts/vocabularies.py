"""The closed vocabularies: every code that a table, a log or an error of this pipeline may carry."""

from enum import StrEnum


class Cadence(StrEnum):
    """How an asset is partitioned."""

    DAILY = "daily"  # named after the day on which its rows arrived
    WEEKLY = "weekly"  # named after the as-of day: the first of the week that it is for


class Feed(StrEnum):
    """What a landing folder delivers."""

    TRANSACTIONS = "transactions"
    CHARGEBACKS = "chargebacks"


class Reason(StrEnum):
    """Why a landed row, or a whole landed file, is in quarantine."""

    # Of one row.
    MISSING_VALUE = "missing_value"
    WRONG_TYPE = "wrong_type"
    WRONG_ENCODING = "wrong_encoding"
    NOT_FINITE = "not_finite"
    NEGATIVE = "negative"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    TOO_LATE = "too_late"
    IN_FUTURE = "in_future"
    ID_REUSED = "id_reused"
    MALFORMED = "malformed"
    # Of a whole file.
    MISSING_COLUMN = "missing_column"
    EXTRA_COLUMN = "extra_column"
    UNREADABLE = "unreadable"
    UNKNOWN_FORMAT = "unknown_format"


class FileStatus(StrEnum):
    """What became of a landed file as a whole."""

    ACCEPTED = "accepted"  # each of its rows was judged on its own
    REPEATED = "repeated"  # the same bytes came before: every row is a duplicate
    REFUSED = "refused"  # it could not be read as rows: one quarantine entry stands for the file


class Decision(StrEnum):
    """What is done with a transaction."""

    APPROVE = "approve"
    REVIEW = "review"
    DECLINE = "decline"


class Rung(StrEnum):
    """The step of the degradation ladder that gave a score."""

    CHAMPION = "champion"
    CANARY = "canary"
    BACKUP = "backup"
    RULES = "rules"


class Degradation(StrEnum):
    """Why a score did not come from the model it should have come from, or came from less than full inputs."""

    NO_MODEL_RELEASED = "no_model_released"
    CHAMPION_UNAVAILABLE = "champion_unavailable"
    CANARY_UNAVAILABLE = "canary_unavailable"
    BACKUP_UNAVAILABLE = "backup_unavailable"
    CHAMPION_TIMED_OUT = "champion_timed_out"
    CANARY_TIMED_OUT = "canary_timed_out"
    BACKUP_TIMED_OUT = "backup_timed_out"
    CHAMPION_INVALID = "champion_invalid"  # its score was no probability
    CANARY_INVALID = "canary_invalid"
    BACKUP_INVALID = "backup_invalid"
    CHAMPION_SUSPENDED = "champion_suspended"  # failed over: the backup decides until the champion is well again
    CUSTOMER_FEATURES_MISSING = "customer_features_missing"
    TERMINAL_FEATURES_MISSING = "terminal_features_missing"
    HISTORY_INCOMPLETE = "history_incomplete"  # a day within the features' window was held or absent


class Mending(StrEnum):
    """What was done about a file that was not as recorded."""

    RESTORED = "restored"  # from a replica
    TO_BE_MADE_AGAIN = "to_be_made_again"  # no replica had it: the healing plan makes the partition again
    FOR_A_PERSON = "for_a_person"  # who decided cannot be made again: the end of the release log is not the one seen


class ReleaseAction(StrEnum):
    """What an entry of the release log did."""

    HOLD = "hold"  # nothing changes, for the reason that is given
    START_SHADOW = "start_shadow"  # a new model is on trial: it scores everything and decides nothing
    START_CANARY = "start_canary"  # it decides for the first share of the customers
    WIDEN_CANARY = "widen_canary"  # for the next share
    PROMOTE = "promote"  # it becomes champion, and the champion becomes backup
    ROLL_BACK = "roll_back"  # it showed a loss: out of all traffic, never tried again by itself
    END_TRIAL = "end_trial"  # it showed neither a loss nor that there is none, in all the time a trial may take
    FAIL_OVER = "fail_over"  # the champion is not well: the backup decides, or the rules where there is none
    FAIL_BACK = "fail_back"  # the champion is well again


class Part(StrEnum):
    """What the release can give a model to do."""

    CHAMPION = "champion"
    BACKUP = "backup"
    CANARY = "canary"
    SHADOW = "shadow"
    RULES = "rules"


class DecidedBy(StrEnum):
    """Who took a decision of the release log."""

    PIPELINE = "pipeline"
    PERSON = "person"
