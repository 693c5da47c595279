"""How well agreements are read: labelled talk of any format, and the measure on it."""

from sotopia_env.training.agreement.dialogues import Act, LabelledDialogue, LabelledTurn
from sotopia_env.training.agreement.formats import FORMATS, guess_format, load_dialogues
from sotopia_env.training.agreement.labelled import SHIPPED
from sotopia_env.training.agreement.measure import agreement_report, measure, read_acts, read_words, report_tables

__all__ = [
    "FORMATS",
    "SHIPPED",
    "Act",
    "LabelledDialogue",
    "LabelledTurn",
    "agreement_report",
    "guess_format",
    "load_dialogues",
    "measure",
    "read_acts",
    "read_words",
    "report_tables",
]
