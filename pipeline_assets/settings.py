"""The one reader of the environment and of params.yaml: frozen, typed settings, or an error that names the key."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.ingestion import IngestionParams
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.scoring import DecisionParams
from pipeline_assets.core.training import TrainingParams

DATA_VARIABLE: Final = "PIPELINE_DATA"
PARAMS_VARIABLE: Final = "PIPELINE_PARAMS"


class Params(BaseModel):
    """Every number a user may tune, as in params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_start: date
    history_end: date | None = None
    first_model_after_days: int = Field(default=35, ge=14)
    ingestion: IngestionParams = Field(default_factory=IngestionParams)
    training: TrainingParams = Field(default_factory=TrainingParams)
    evaluation: EvaluationParams = Field(default_factory=EvaluationParams)
    release: ReleaseParams = Field(default_factory=ReleaseParams)
    rules: RulesParams = Field(default_factory=RulesParams)
    decision: DecisionParams = Field(default_factory=DecisionParams)

    @model_validator(mode="after")
    def _history_is_not_empty(self) -> Self:
        if self.history_end is not None and self.history_end < self.history_start:
            raise ValueError(f"history_end: expected a day not before history_start, found {self.history_end}")
        return self


@dataclass(frozen=True)
class Settings:
    """Where the data is and what the parameters are."""

    data_root: str
    params: Params


def read_settings() -> Settings:
    """Read ``PIPELINE_DATA`` (default ``data``) and the file ``PIPELINE_PARAMS`` (default ``params.yaml``).

    Raises:
        ValueError: The file is no YAML, or a key is unknown or has a wrong value; the message names file and key.
        FileNotFoundError: There is no such file.
    """
    path = Path(os.environ.get(PARAMS_VARIABLE) or "params.yaml")
    return Settings(os.environ.get(DATA_VARIABLE) or "data", read_params(path))
